/*
 * Holds: its place among sessions and process groups: the leader of a session of its own, or a member
 * of the session and group of whoever started it, which lie outside of what is dumped.
 * Shows: what CRIU asks --shell-job for "needs no option".
 * e2e: args: own inherit
 * e2e: session for inherit: inherit
 * e2e: no pidns for inherit: the session outside has no number there
 * e2e: exec: yes
 */
#include "victim.h"

int main(int argc, char **argv)
{
	int own = argc > 1 && strcmp(argv[1], "own") == 0;
	pid_t sid, pgid;

	victim_init(argc, argv);
	sid = getsid(0);
	pgid = getpgrp();
	CHECK((sid == getpid()) == own, "set-up: session %d of pid %d", sid, getpid());
	victim_ready();
	victim_wait();
	CHECK(getsid(0) == victim_now(sid), "session: expected %d, got %d", sid, getsid(0));
	CHECK(getpgrp() == victim_now(pgid), "process group: expected %d, got %d", pgid, getpgrp());
	return 0;
}
