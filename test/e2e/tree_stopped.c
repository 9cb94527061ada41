/*
 * Holds: children that are stopped by SIGSTOP and by SIGTSTP, one of them below another child, one with
 *        several threads; beside one that runs. Their parents have waited for these stops, but for one; another
 *        one has the SIGCHLD of a stop blocked. One may not call waitid(2).
 * Shows: "tasks stopped by SIGSTOP or SIGTSTP come back stopped", and "the parent's view is right afterwards:
 *        wait4 gets the same statuses, SIGCHLD behaves".
 * e2e: exec: yes
 */
#include "tree.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

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

static void *thread(void *arg)
{
	tree_pass();
	return arg;
}

static int stops_with_threads(int sig)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		t[i] = victim_thread(thread, NULL);
	signal(SIGCONT, on_cont);
	tree_report();
	raise(sig);
	CHECK(continued, "it runs, and nobody has sent SIGCONT");
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0, "pthread_join");
	return 33;
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

static volatile sig_atomic_t told; /* of a child's stop, by SIGCHLD */

static void on_child(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	told += si->si_code == CLD_STOPPED;
}

static pid_t stopped_child(int (*fn)(int), int sig)
{
	pid_t pid = tree_fork(fn, sig);
	int status;

	CHECK(MUST(waitpid(pid, &status, WUNTRACED)) == pid && WIFSTOPPED(status) &&
			WSTOPSIG(status) == sig,
		"the test is broken: %#x", status);
	return pid;
}

static int parent_of_stopped(int arg)
{
	pid_t pid = stopped_child(stops, SIGSTOP);

	(void)arg;
	tree_report();
	tree_pass();
	expect_stopped(pid, "below a child");
	CHECK(waitpid(-1, NULL, WNOHANG | WUNTRACED) == 0, "a child's stop is told again");
	MUST(kill(pid, SIGCONT));
	tree_ends(pid, 30 << 8, "below a child");
	return 32;
}

/* Neither the signal nor the stop itself has been taken. */
static int parent_that_has_not_asked(int arg)
{
	pid_t pid;
	siginfo_t si = {0};
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	pid = tree_fork(stops, SIGSTOP);
	tree_until(pid, 'T');
	tree_report();
	tree_pass();
	expect_stopped(pid, "one that was not waited for");
	CHECK(sigtimedwait(&set, &si, &(struct timespec){0}) == SIGCHLD && si.si_pid == pid &&
			si.si_code == CLD_STOPPED,
		"SIGCHLD: pid %d, code %d", si.si_pid, si.si_code);
	si.si_pid = 0;
	MUST(waitid(P_PID, pid, &si, WSTOPPED | WNOHANG));
	CHECK(si.si_pid == pid && si.si_code == CLD_STOPPED && si.si_status == SIGSTOP,
		"the stop: expected %d, got pid %d, code %d, status %d", pid, si.si_pid, si.si_code,
		si.si_status);
	si.si_pid = 0;
	MUST(waitid(P_PID, pid, &si, WSTOPPED | WNOHANG));
	CHECK(si.si_pid == 0, "the stop is told twice");
	MUST(kill(pid, SIGCONT));
	tree_ends(pid, 30 << 8, "one that was not waited for");
	return 34;
}

/* It may not call waitid(2), by which it is asked whether it has waited. */
static int parent_in_a_sandbox(int arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_waitid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog prog = {.len = 4, .filter = code};
	pid_t pid = stopped_child(stops, SIGSTOP);

	(void)arg;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	tree_report();
	tree_pass();
	expect_stopped(pid, "of one in a sandbox");
	CHECK(waitpid(-1, NULL, WNOHANG | WUNTRACED) == 0, "a child's stop is told again");
	MUST(kill(pid, SIGCONT));
	tree_ends(pid, 30 << 8, "of one in a sandbox");
	return 35;
}

int main(int argc, char **argv)
{
	struct sigaction on = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
	pid_t stop, tstp, threads, run, parent, other, sandbox;

	victim_init(argc, argv);
	tree_init();
	stop = stopped_child(stops, SIGSTOP);
	tstp = stopped_child(stops, SIGTSTP);
	threads = stopped_child(stops_with_threads, SIGSTOP);
	run = tree_fork(runs, 0);
	parent = tree_fork(parent_of_stopped, 0);
	other = tree_fork(parent_that_has_not_asked, 0);
	sandbox = tree_fork(parent_in_a_sandbox, 0);
	tree_expect(10);
	MUST(sigaction(SIGCHLD, &on, NULL));
	victim_ready();
	victim_wait();
	CHECK(!told, "SIGCHLD tells of a stop again");
	CHECK(waitpid(-1, NULL, WNOHANG | WUNTRACED) == 0, "a child's stop is told again");
	expect_stopped(threads, "with threads");
	expect_stopped(stop, "SIGSTOP");
	expect_stopped(tstp, "SIGTSTP");
	CHECK(waitpid(-1, NULL, WNOHANG) == 0, "a child has ended");
	tree_open(4 + 3);
	MUST(kill(threads, SIGCONT));
	tree_ends(threads, 33 << 8, "with threads");
	tree_ends(other, 34 << 8, "the parent that has not asked");
	tree_ends(sandbox, 35 << 8, "the parent in a sandbox");
	MUST(kill(stop, SIGCONT));
	MUST(kill(tstp, SIGCONT));
	tree_ends(stop, 30 << 8, "SIGSTOP");
	tree_ends(tstp, 30 << 8, "SIGTSTP");
	tree_ends(run, 31 << 8, "the one that runs");
	tree_ends(parent, 32 << 8, "the parent of one that is stopped");
	tree_no_more();
	return 0;
}
