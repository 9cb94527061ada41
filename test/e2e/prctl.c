/*
 * Holds: `mce`: an own choice of what happens on memory failures; `mdwe`: no memory may become
 * executable; `tsc`: reading the cycle counter raises SIGSEGV.
 * Shows: Process: what prctl(2) sets and only the process itself can read.
 * e2e: args: mce mdwe tsc
 */
#include "victim.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* Linux 6.3 */
#define PR_GET_MDWE 66
#endif
#define MDWE_REFUSE_EXEC_GAIN 1UL

static void check_mce(void)
{
	int got = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);

	CHECK(got == PR_MCE_KILL_EARLY, "expected %d, got %d", PR_MCE_KILL_EARLY, got);
}

static void check_mdwe(void)
{
	int got = prctl(PR_GET_MDWE, 0, 0, 0, 0);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(got == MDWE_REFUSE_EXEC_GAIN, "expected 1, got %d", got);
	CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
	CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC) == -1 && errno == EACCES,
		"memory could be made executable");
}

static void check_tsc(void)
{
	int got = -1;

	MUST(prctl(PR_GET_TSC, &got, 0, 0, 0));
	CHECK(got == PR_TSC_SIGSEGV, "expected %d, got %d", PR_TSC_SIGSEGV, got);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "mce";
	void (*check)(void) = check_mce;

	victim_init(argc, argv);
	if (strcmp(what, "mce") == 0 &&
		prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == -1)
		SKIP("PR_MCE_KILL: %s", strerror(errno));
	if (strcmp(what, "mdwe") == 0) {
		if (prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == -1)
			SKIP("PR_SET_MDWE: %s", strerror(errno));
		check = check_mdwe;
	}
	if (strcmp(what, "tsc") == 0) {
		if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == -1)
			SKIP("PR_SET_TSC: %s", strerror(errno));
		check = check_tsc;
	}
	victim_ready();
	victim_wait();
	check();
	return 0;
}
