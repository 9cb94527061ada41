/*
 * Holds: the dumpable flag, on or off.
 * Shows: Process: "dumpable".
 * e2e: args: 0 1
 */
#include "victim.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	int want = argc > 1 ? atoi(argv[1]) : 0, got;

	victim_init(argc, argv);
	MUST(prctl(PR_SET_DUMPABLE, want));
	victim_ready();
	victim_wait();
	got = prctl(PR_GET_DUMPABLE);
	CHECK(got == want, "expected %d, got %d", want, got);
	return 0;
}
