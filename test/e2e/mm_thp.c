/*
 * Holds: 8 MiB under MADV_HUGEPAGE, in huge pages where the kernel gives them: one full, one of which
 * a single small page was punched out, one never touched, one with a single page of another protection.
 * Shows: Memory: "THP advice": contents, holes and flags.
 */
#include "mm.h"

#define HUGE_LEN ((size_t)2 << 20)

int main(int argc, char **argv)
{
	char *base = mm_map(5 * HUGE_LEN, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
	char *p = (char *)(((uintptr_t)base + HUGE_LEN - 1) & ~(HUGE_LEN - 1));
	struct mm_vma was;

	victim_init(argc, argv);
	MUST(mmap(p, 4 * HUGE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		-1, 0));
	if (madvise(p, 4 * HUGE_LEN, MADV_HUGEPAGE))
		SKIP("this kernel has no transparent huge pages (MADV_HUGEPAGE: %s)",
			strerror(errno));
	mm_fill(p, HUGE_LEN, 1);
	mm_fill(p + HUGE_LEN, HUGE_LEN, 2);
	MUST(madvise(p + HUGE_LEN + 17 * MM_PAGE, MM_PAGE, MADV_DONTNEED));
	mm_fill(p + 3 * HUGE_LEN, HUGE_LEN, 3);
	MUST(mprotect(p + 3 * HUGE_LEN + 5 * MM_PAGE, MM_PAGE, PROT_READ));
	was = mm_vma(p);
	victim_say("note: %lu KiB in huge pages", was.anon_huge_kb);
	CHECK(mm_flag(&was, "hg"), "no 'hg' in VmFlags '%s'", was.flags);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "huge mapping");
	mm_expect(p, HUGE_LEN, 1, "full huge page");
	mm_expect_zero(p + HUGE_LEN + 17 * MM_PAGE, MM_PAGE, "punched page");
	for (size_t i = 0; i < HUGE_LEN / 8; i++)
		CHECK(i / 512 == 17 || ((uint64_t *)(p + HUGE_LEN))[i] == mm_word(2, i),
			"word %zu of the punched huge page is wrong", i);
	CHECK(!mm_is_populated(p + 2 * HUGE_LEN), "the untouched huge page is populated");
	mm_expect(p + 3 * HUGE_LEN, HUGE_LEN, 3, "split huge page");
	CHECK(mm_touch(p + 3 * HUGE_LEN + 5 * MM_PAGE, MM_WRITE) == SIGSEGV,
		"the protected page can be written");
	return 0;
}
