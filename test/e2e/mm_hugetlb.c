/*
 * e2e: args: private shared memfd
 *
 * Holds: two huge pages of hugetlb memory, one touched, one not: private anonymous; shared anonymous,
 *        mapped twice; a MFD_HUGETLB memfd with its descriptor.
 * Shows: Memory: "hugetlb". It lets the kernel make up to 16 huge pages on demand
 * (nr_overcommit_hugepages), which costs nothing while they are not used.
 */
#include "mm.h"

#define HUGE_LEN ((size_t)2 << 20)
#define LEN      (2 * HUGE_LEN)

static char *hugetlb_map(int fd, int flags)
{
	char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		SKIP("no huge pages to be had: %s", strerror(errno));
	return p;
}

int main(int argc, char **argv)
{
	char *p, *b = NULL, byte;
	struct mm_vma was;
	int fd = -1;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mm_hugetlb private|shared|memfd");
	mm_allow_huge();
	if (!strcmp(argv[1], "private")) {
		p = hugetlb_map(-1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	} else if (!strcmp(argv[1], "shared")) {
		p = hugetlb_map(-1, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB);
	} else {
		fd = MUST(memfd_create("huge", MFD_HUGETLB | MFD_CLOEXEC));
		MUST(ftruncate(fd, LEN));
		p = hugetlb_map(fd, MAP_SHARED);
		b = hugetlb_map(fd, MAP_SHARED);
	}
	mm_fill(p, HUGE_LEN, 1);
	was = mm_vma(p);
	CHECK(mm_flag(&was, "ht"), "no 'ht' in VmFlags '%s'", was.flags);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "hugetlb mapping");
	mm_expect(p, HUGE_LEN, 1, "touched huge page");
	CHECK(!mm_is_populated(p + HUGE_LEN), "the untouched huge page is populated");
	mm_expect_zero(p + HUGE_LEN, HUGE_LEN, "untouched huge page");
	if (b) {
		mm_fill(p + HUGE_LEN, MM_PAGE, 2);
		mm_expect(b + HUGE_LEN, MM_PAGE, 2, "the second mapping");
		CHECK(pread(fd, &byte, 1, HUGE_LEN) == 1 && byte == p[HUGE_LEN], "the descriptor");
	}
	MUST(munmap(p, LEN));
	return 0;
}
