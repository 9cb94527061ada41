/*
 * Holds: pipes with O_ASYNC, F_SETOWN (the process; a thread; a process group) and F_SETSIG.
 * Shows: Files: F_SETOWN and F_SETSIG come back, and the signal comes with its descriptor's number.
 * e2e: exec: yes
 */
#include "fds.h"

static volatile int owner_hits, owner_fd, owner_tid;

static void owner_hit(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	owner_hits++;
	owner_fd = si->si_fd;
	owner_tid = gettid();
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_sigaction = owner_hit, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct f_owner_ex want[3] = {{F_OWNER_PID, getpid()}, {F_OWNER_TID, gettid()},
		{F_OWNER_PGRP, getpgrp()}},
			  got;
	int p[3][2], quiet[2];

	victim_init(argc, argv);
	MUST(sigaction(SIGRTMIN + 3, &act, NULL));
	for (int i = 0; i < 3; i++) {
		MUST(pipe(p[i]));
		MUST(fcntl(p[i][0], F_SETOWN_EX, &want[i]));
		MUST(fcntl(p[i][0], F_SETSIG, SIGRTMIN + 3));
		MUST(fcntl(p[i][0], F_SETFL, O_ASYNC | O_NONBLOCK));
	}
	MUST(pipe(quiet));
	victim_ready();
	victim_wait();
	CHECK(owner_hits == 0, "%d signals came before there was data", owner_hits);
	for (int i = 0; i < 3; i++) {
		MUST(fcntl(p[i][0], F_GETOWN_EX, &got));
		CHECK(got.type == want[i].type && got.pid == victim_now(want[i].pid),
			"owner %d: expected type %d pid %d, got type %d pid %d", i, want[i].type,
			want[i].pid, got.type, got.pid);
		CHECK(fcntl(p[i][0], F_GETSIG) == SIGRTMIN + 3, "signal: expected %d, got %d",
			SIGRTMIN + 3, fcntl(p[i][0], F_GETSIG));
		CHECK(write(p[i][1], "x", 1) == 1, "write: %s", strerror(errno));
		CHECK(owner_hits == i + 1, "pipe %d: expected %d signals, got %d", i, i + 1,
			owner_hits);
		CHECK(owner_fd == p[i][0], "si_fd: expected %d, got %d", p[i][0], owner_fd);
	}
	CHECK(write(quiet[1], "x", 1) == 1 && owner_hits == 3, "a signal for a pipe without owner");
	CHECK(fcntl(quiet[0], F_GETSIG) == 0 && fcntl(quiet[0], F_GETOWN) == 0,
		"a pipe without owner has one");
	return 0;
}
