/*
 * Holds: sealed mappings (mseal, Linux 6.10): anonymous with contents, read-only, and of a file.
 * Shows: Memory: "mseal": they are where they were, still sealed, and their neighbours are not.
 */
#include "mm.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define LEN (4 * MM_PAGE)

static void seal_expect(char *p)
{
	CHECK(munmap(p, LEN) == -1 && errno == EPERM, "a sealed mapping can be unmapped");
	CHECK(mprotect(p, LEN, PROT_NONE) == -1 && errno == EPERM,
		"the protection of a sealed mapping can be changed");
}

int main(int argc, char **argv)
{
	char *p = mm_island(3 * LEN, PROT_READ | PROT_WRITE),
	     *r = mm_island(LEN, PROT_READ | PROT_WRITE);
	int fd = mm_file("data", LEN, 3);
	char *f = (char *)MUST(mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, fd, 0));
	struct mm_vma was[4];

	victim_init(argc, argv);
	close(fd);
	mm_fill(p, 3 * LEN, 1);
	mm_fill(r, LEN, 2);
	MUST(mprotect(r, LEN, PROT_READ));
	if (syscall(SYS_mseal, p + LEN, LEN, 0))
		SKIP("this kernel has no mseal: %s", strerror(errno));
	MUST(syscall(SYS_mseal, r, LEN, 0));
	MUST(syscall(SYS_mseal, f, LEN, 0));
	was[0] = mm_vma(p);
	was[1] = mm_vma(p + LEN);
	was[2] = mm_vma(r);
	was[3] = mm_vma(f);
	victim_ready();
	victim_wait();
	for (int i = 0; i < 4; i++)
		mm_expect_same(&was[i], i ? "sealed mapping" : "neighbour of a sealed mapping");
	mm_expect(p, 3 * LEN, 1, "sealed contents and neighbours");
	mm_expect(r, LEN, 2, "sealed read-only contents");
	mm_expect(f, LEN, 3, "sealed file");
	seal_expect(p + LEN);
	seal_expect(r);
	seal_expect(f);
	mm_fill(p + LEN, LEN, 4); /* writing is allowed */
	MUST(munmap(p, LEN));
	return 0;
}
