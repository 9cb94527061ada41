/*
 * Holds: guard pages inside a mapping (MADV_GUARD_INSTALL, Linux 6.13): at its start, its end, and
 * alone in the middle, in anonymous memory.
 * Shows: Memory: "MADV_GUARD": the guards fault, their neighbours do not, and a guard can be removed.
 */
#include "mm.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#define PAGES 16

static bool guard_at(size_t page)
{
	return page < 2 || page == 7 || page == PAGES - 1;
}

int main(int argc, char **argv)
{
	char *p = mm_island(PAGES * MM_PAGE, PROT_READ | PROT_WRITE);
	struct mm_vma was;

	victim_init(argc, argv);
	for (size_t i = 0; i < PAGES; i++)
		mm_fill(p + i * MM_PAGE, MM_PAGE, i);
	for (size_t i = 0; i < PAGES; i++)
		if (guard_at(i) && madvise(p + i * MM_PAGE, MM_PAGE, MADV_GUARD_INSTALL))
			SKIP("this kernel has no guard pages (MADV_GUARD_INSTALL: %s)",
				strerror(errno));
	was = mm_vma(p);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "mapping");
	for (size_t i = 0; i < PAGES; i++) {
		int got = mm_touch(p + i * MM_PAGE, MM_READ), want = guard_at(i) ? SIGSEGV : 0;

		CHECK(got == want, "page %zu: expected signal %d, got %d", i, want, got);
		if (!want)
			mm_expect(p + i * MM_PAGE, MM_PAGE, i, "page between guards");
	}
	MUST(madvise(p, 2 * MM_PAGE, MADV_GUARD_REMOVE));
	mm_expect_zero(p, 2 * MM_PAGE, "removed guard");
	return 0;
}
