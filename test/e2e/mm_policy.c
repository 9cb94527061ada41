/*
 * e2e: args: thp merge coredump
 *
 * Holds: what is told of an address space as a whole: no transparent huge pages (PR_SET_THP_DISABLE);
 *        same-page merging of all that is and will be mapped (PR_SET_MEMORY_MERGE, Linux 6.4);
 *        what a core dump holds (/proc/self/coredump_filter).
 * Shows: Memory: "THP and KSM advice"; it holds afterwards, and for mappings made afterwards.
 */
#include "mm.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#define LEN (4 * MM_PAGE)

static const char filter_path[] = "/proc/self/coredump_filter";

static void policy_set(const char *how)
{
	int fd;

	if (!strcmp(how, "thp")) {
		MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	} else if (!strcmp(how, "merge")) {
		if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) < 0)
			SKIP("this kernel merges no memory of whole processes "
			     "(PR_SET_MEMORY_MERGE: %s)",
				strerror(errno));
	} else {
		fd = open(filter_path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			SKIP("this kernel dumps no core (%s: %s)", filter_path, strerror(errno));
		CHECK(write(fd, "0x21", 4) == 4, "%s: %s", filter_path, strerror(errno));
		close(fd);
	}
}

static void policy_expect(const char *how)
{
	char text[32];

	if (!strcmp(how, "thp")) {
		CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "huge pages are allowed");
	} else if (!strcmp(how, "merge")) {
		struct mm_vma v = mm_vma(mm_island(LEN, PROT_READ | PROT_WRITE));

		CHECK(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1, "memory is not merged");
		CHECK(mm_flag(&v, "mg"), "a new mapping has no 'mg' in VmFlags '%s'", v.flags);
	} else {
		victim_slurp(filter_path, text, sizeof(text));
		CHECK(strtoul(text, NULL, 16) == 0x21, "expected 21, got %s", text);
	}
}

int main(int argc, char **argv)
{
	char *p = mm_island(LEN, PROT_READ | PROT_WRITE);
	struct mm_vma was;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mm_policy thp|merge|coredump");
	mm_fill(p, LEN, 1);
	policy_set(argv[1]);
	policy_expect(argv[1]);
	was = mm_vma(p);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "mapping");
	mm_expect(p, LEN, 1, "contents");
	policy_expect(argv[1]);
	return 0;
}
