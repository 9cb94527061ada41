/*
 * Holds: children whose end is told by another signal than SIGCHLD, by none, and by a real-time one.
 * Shows: "exit signals other than SIGCHLD are kept".
 * e2e: exec: yes
 */
#include "tree.h"
#include <sched.h>

#define N 4

static volatile int told[65], code[65];
static volatile pid_t from[65];

static void handler(int sig, siginfo_t *si, void *context)
{
	(void)context;
	told[sig]++;
	code[sig] = si->si_code;
	from[sig] = si->si_pid;
}

int main(int argc, char **argv)
{
	const int sig[N] = {SIGUSR1, 0, SIGCHLD, SIGRTMIN + 3};
	struct sigaction act = {
		.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP};
	pid_t pid[N];

	victim_init(argc, argv);
	tree_init();
	for (int i = 0; i < N; i++)
		if (sig[i])
			MUST(sigaction(sig[i], &act, NULL));
	for (int i = 0; i < N; i++) {
		pid[i] = MUST(syscall(SYS_clone, (long)sig[i], 0L, 0L, 0L, 0L));
		if (!pid[i]) {
			tree_report();
			tree_pass();
			_exit(60);
		}
	}
	tree_expect(N);
	victim_ready();
	victim_wait();
	CHECK(waitpid(pid[0], NULL, WNOHANG) == -1 && errno == ECHILD,
		"a child that does not send SIGCHLD is waited for without __WCLONE");
	CHECK(waitpid(pid[2], NULL, WNOHANG) == 0, "the one that sends SIGCHLD");
	tree_open(N);
	for (int i = 0; i < N; i++)
		tree_ends(pid[i], 60 << 8, "a child");
	for (int i = 0; i < N; i++) {
		CHECK(!sig[i] || told[sig[i]] == 1, "signal %d: expected once, got %d times",
			sig[i], told[sig[i]]);
		CHECK(!sig[i] || from[sig[i]] == pid[i], "signal %d: of %d, expected %d", sig[i],
			from[sig[i]], pid[i]);
		CHECK(!sig[i] || code[sig[i]] == CLD_EXITED, "signal %d: si_code %d", sig[i],
			code[sig[i]]);
	}
	return 0;
}
