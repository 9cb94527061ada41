/*
 * e2e: timeout: 60
 *
 * Holds: 10 000 mappings: pages with two protections in turn, a pattern in every third.
 * Shows: "cost grows linearly in VMAs", and that so many come back one by one.
 */
#include "mm.h"

#define VMAS 10000

static size_t vmas_within(const char *p, size_t len)
{
	struct mm_lines l = {.fd = MUST(open("/proc/self/maps", O_RDONLY | O_CLOEXEC))};
	unsigned long start = (unsigned long)p, at = start;
	char line[512];
	struct mm_vma v;
	size_t n = 0;

	while (mm_line(&l, line, sizeof(line))) {
		if (!mm_vma_head(line, &v) || v.start < start || v.start >= start + len)
			continue;
		CHECK(v.start == at, "mapping %zu: expected at %lx, got %lx", n, at, v.start);
		CHECK(!strcmp(v.perms, n % 2 ? "r--p" : "rw-p"), "mapping %zu is %s", n, v.perms);
		at = v.end;
		n++;
	}
	close(l.fd);
	return n;
}

int main(int argc, char **argv)
{
	char *p = mm_island(VMAS * MM_PAGE, PROT_READ | PROT_WRITE);

	victim_init(argc, argv);
	for (size_t i = 0; i < VMAS; i += 3)
		mm_fill(p + i * MM_PAGE, MM_PAGE, i);
	for (size_t i = 1; i < VMAS; i += 2)
		MUST(mprotect(p + i * MM_PAGE, MM_PAGE, PROT_READ));
	CHECK(vmas_within(p, VMAS * MM_PAGE) == VMAS, "the test is broken");
	victim_ready();
	victim_wait();
	CHECK(vmas_within(p, VMAS * MM_PAGE) == VMAS, "expected %d mappings, got %zu", VMAS,
		vmas_within(p, VMAS * MM_PAGE));
	for (size_t i = 0; i < VMAS; i++)
		if (i % 3)
			mm_expect_zero(p + i * MM_PAGE, MM_PAGE, "untouched page");
		else
			mm_expect(p + i * MM_PAGE, MM_PAGE, i, "page");
	return 0;
}
