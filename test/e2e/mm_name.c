/*
 * Holds: anonymous mappings with names (PR_SET_VMA_ANON_NAME), private, shared, and one with spaces.
 * Shows: Memory: "VMA names".
 */
#include "mm.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define LEN (2 * MM_PAGE)

static void name_expect(const char *p, const char *want)
{
	CHECK(!strcmp(mm_vma(p).name, want), "name: expected '%s', got '%s'", want, mm_vma(p).name);
}

int main(int argc, char **argv)
{
	char *a = mm_island(LEN, PROT_READ | PROT_WRITE), *b = mm_island(LEN, PROT_NONE);
	char *s = mm_map(LEN, PROT_READ | PROT_WRITE, MAP_SHARED);

	victim_init(argc, argv);
	mm_fill(a, LEN, 1);
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, a, LEN, "first heap") < 0)
		SKIP("this kernel names no anonymous mappings (PR_SET_VMA_ANON_NAME: %s)",
			strerror(errno));
	MUST(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, b, LEN, "reserve"));
	name_expect(a, "[anon:first heap]");
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, s, LEN, "shared one") < 0)
		s = NULL; /* since 6.2 */
	victim_ready();
	victim_wait();
	name_expect(a, "[anon:first heap]");
	name_expect(b, "[anon:reserve]");
	if (s)
		name_expect(s, "[anon_shmem:shared one]");
	mm_expect(a, LEN, 1, "contents");
	return 0;
}
