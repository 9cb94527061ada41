/*
 * Holds: a mapping for each advice that the kernel keeps in a mapping's flags.
 * Shows: Memory: "madvise flags, THP and KSM advice", each by its word in VmFlags of smaps, and
 * WIPEONFORK and DONTFORK also by what a child sees.
 */
#include "mm.h"
#include <sys/wait.h>

#define LEN (4 * MM_PAGE)

static const struct {
	int advice;
	const char *name, *flag;
} advices[] = {
	{MADV_DONTFORK, "DONTFORK", "dc"},
	{MADV_WIPEONFORK, "WIPEONFORK", "wf"},
	{MADV_DONTDUMP, "DONTDUMP", "dd"},
	{MADV_MERGEABLE, "MERGEABLE", "mg"},
	{MADV_HUGEPAGE, "HUGEPAGE", "hg"},
	{MADV_NOHUGEPAGE, "NOHUGEPAGE", "nh"},
	{MADV_SEQUENTIAL, "SEQUENTIAL", "sr"},
	{MADV_RANDOM, "RANDOM", "rr"},
};
#define ADVICES (sizeof(advices) / sizeof(advices[0]))

/* What a child reads at p: 0 its contents, 1 zeros, or the signal that it got. */
static int advice_in_child(char *p, uint64_t seed)
{
	pid_t child = MUST(fork());
	int status;

	if (!child) {
		int sig = mm_touch(p, MM_READ);

		_exit(sig ? sig : *(volatile uint64_t *)p == mm_word(seed, 0) ? 0 : 1);
	}
	MUST(waitpid(child, &status, 0));
	CHECK(WIFEXITED(status), "the child died");
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	char *p[ADVICES], *plain;
	struct mm_vma was[ADVICES], was_plain;
	bool have[ADVICES];

	victim_init(argc, argv);
	for (size_t i = 0; i < ADVICES; i++) {
		p[i] = mm_island(LEN, PROT_READ | PROT_WRITE);
		mm_fill(p[i], LEN, i);
		have[i] = madvise(p[i], LEN, advices[i].advice) == 0;
		CHECK(have[i] || errno == EINVAL, "%s: %s", advices[i].name, strerror(errno));
		if (!have[i])
			victim_say("note: this kernel has no MADV_%s", advices[i].name);
		was[i] = mm_vma(p[i]);
		CHECK(!have[i] || mm_flag(&was[i], advices[i].flag),
			"%s: VmFlags '%s' without '%s'", advices[i].name, was[i].flags,
			advices[i].flag);
	}
	plain = mm_island(LEN, PROT_READ | PROT_WRITE);
	mm_fill(plain, LEN, ADVICES);
	was_plain = mm_vma(plain);
	victim_ready();
	victim_wait();
	for (size_t i = 0; i < ADVICES; i++) {
		mm_expect_same(&was[i], advices[i].name);
		mm_expect(p[i], LEN, i, advices[i].name);
	}
	mm_expect_same(&was_plain, "without advice");
	mm_expect(plain, LEN, ADVICES, "without advice");
	CHECK(advice_in_child(p[0], 0) == SIGSEGV, "DONTFORK: a child has the mapping");
	CHECK(advice_in_child(p[1], 1) == 1, "WIPEONFORK: a child sees the contents");
	CHECK(advice_in_child(plain, ADVICES) == 0, "a child does not see plain memory");
	return 0;
}
