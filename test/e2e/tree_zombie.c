/*
 * Holds: children that have ended and that nobody has waited for: by exit and by signal, one that led a
 *        session, one with a child that lives on (and has a new parent), and one below another child.
 * Shows: "zombies with their exit status".
 * e2e: exec: yes
 */
#include "tree.h"

#define ORPHAN_ENDS 42

static int by_exit(int status)
{
	return status;
}

static int by_signal(int sig)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	raise(sig);
	pause();
	return 0;
}

static int leader(int status)
{
	MUST(setsid());
	return status;
}

static int orphan(int arg)
{
	(void)arg;
	tree_report();
	tree_pass();
	return ORPHAN_ENDS;
}

static pid_t *orphan_pid;

static int forsaker(int status)
{
	*orphan_pid = tree_fork(orphan, 0);
	return status;
}

static int parent(int arg)
{
	pid_t dead = tree_fork(by_exit, 99);

	(void)arg;
	tree_until(dead, 'Z');
	tree_report();
	tree_pass();
	CHECK(tree_state(dead) == 'Z', "below a child: state %c", tree_state(dead));
	tree_ends(dead, 99 << 8, "below a child");
	return 0;
}

static const struct {
	int (*fn)(int);
	int arg, status;
} dead[] = {{by_exit, 0, 0}, {by_exit, 1, 1 << 8}, {by_exit, 255, 255 << 8},
	{by_signal, SIGKILL, SIGKILL}, {by_signal, SIGTERM, SIGTERM}, {by_signal, SIGSEGV, SIGSEGV},
	{leader, 7, 7 << 8}, {forsaker, 3, 3 << 8}};

#define N (int)(sizeof(dead) / sizeof(dead[0]))

int main(int argc, char **argv)
{
	pid_t pid[N], living;
	siginfo_t si;

	victim_init(argc, argv);
	tree_init();
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	orphan_pid = victim_shared(sizeof(*orphan_pid));
	for (int i = 0; i < N; i++) {
		pid[i] = tree_fork(dead[i].fn, dead[i].arg);
		tree_until(pid[i], 'Z');
	}
	living = tree_fork(parent, 0);
	tree_expect(2);
	victim_ready();
	victim_wait();
	for (int i = 0; i < N; i++)
		CHECK(tree_state(pid[i]) == 'Z', "child %d: state %c", i, tree_state(pid[i]));
	for (int i = 0; i < N; i++) {
		bool killed = WIFSIGNALED(dead[i].status);

		MUST(waitid(P_PID, pid[i], &si, WEXITED | WNOWAIT));
		CHECK(si.si_code == (killed ? CLD_KILLED : CLD_EXITED), "child %d: si_code %d", i,
			si.si_code);
		CHECK(si.si_status ==
				(killed ? WTERMSIG(dead[i].status) : WEXITSTATUS(dead[i].status)),
			"child %d: si_status %d", i, si.si_status);
		tree_ends(pid[i], dead[i].status, "a zombie");
	}
	tree_open(2);
	tree_ends(living, 0, "a child with a zombie");
	tree_ends(*orphan_pid, ORPHAN_ENDS << 8, "the child of a zombie");
	tree_no_more();
	return 0;
}
