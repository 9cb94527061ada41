/*
 * Holds: the child-subreaper attribute.
 * Shows: Process: "child subreaper".
 * e2e: exec: yes
 */
#include "victim.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	int got = -1;

	victim_init(argc, argv);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_ready();
	victim_wait();
	MUST(prctl(PR_GET_CHILD_SUBREAPER, &got));
	CHECK(got == 1, "expected 1, got %d", got);
	return 0;
}
