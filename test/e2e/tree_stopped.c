/*
 * Holds: children that are stopped by SIGSTOP and by SIGTSTP, one of them below another child; beside
 *        one that runs.
 * Shows: "tasks stopped by SIGSTOP or SIGTSTP come back stopped".
 */
#include "tree.h"

static volatile sig_atomic_t continued;

static void on_cont(int sig)
{
	(void)sig;
	continued = 1;
}

static int stops(int sig)
{
	/* the root's own group is an orphaned one, which no SIGTSTP stops */
	MUST(setpgid(0, 0));
	signal(SIGCONT, on_cont);
	tree_report();
	raise(sig);
	CHECK(continued, "it runs, and nobody has sent SIGCONT");
	return 30;
}

static int runs(int arg)
{
	(void)arg;
	tree_report();
	tree_pass();
	return 31;
}

static void expect_stopped(pid_t pid, const char *what)
{
	CHECK(tree_state(pid) == 'T', "%s: expected state T, got %c", what, tree_state(pid));
}

static pid_t stopped_child(int sig)
{
	pid_t pid = tree_fork(stops, sig);
	int status;

	CHECK(MUST(waitpid(pid, &status, WUNTRACED)) == pid && WIFSTOPPED(status) &&
			WSTOPSIG(status) == sig,
		"the test is broken: %#x", status);
	return pid;
}

static int parent_of_stopped(int arg)
{
	pid_t pid = stopped_child(SIGSTOP);

	(void)arg;
	tree_report();
	tree_pass();
	expect_stopped(pid, "below a child");
	MUST(kill(pid, SIGCONT));
	tree_ends(pid, 30 << 8, "below a child");
	return 32;
}

int main(int argc, char **argv)
{
	pid_t stop, tstp, run, parent;

	victim_init(argc, argv);
	tree_init();
	stop = stopped_child(SIGSTOP);
	tstp = stopped_child(SIGTSTP);
	run = tree_fork(runs, 0);
	parent = tree_fork(parent_of_stopped, 0);
	tree_expect(5);
	victim_ready();
	victim_wait();
	expect_stopped(stop, "SIGSTOP");
	expect_stopped(tstp, "SIGTSTP");
	CHECK(waitpid(-1, NULL, WNOHANG) == 0, "a child has ended");
	tree_open(2);
	MUST(kill(stop, SIGCONT));
	MUST(kill(tstp, SIGCONT));
	tree_ends(stop, 30 << 8, "SIGSTOP");
	tree_ends(tstp, 30 << 8, "SIGTSTP");
	tree_ends(run, 31 << 8, "the one that runs");
	tree_ends(parent, 32 << 8, "the parent of one that is stopped");
	tree_no_more();
	return 0;
}
