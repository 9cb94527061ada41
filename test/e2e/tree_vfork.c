/*
 * e2e: args: waits churn
 * e2e: refuse for waits: vfork, child
 *
 * Holds: a child in vfork(2), whose own child does not come to its execve(2): the parent can't be
 *        stopped. churn: one that calls vfork and execve all the time.
 * Shows: "a vfork parent that waits": refused, naming both; one that does not wait for long is saved.
 */
#include "tree.h"
#include <spawn.h>

static volatile sig_atomic_t *over;

/* Until the gate is open, it has its parent's memory. */
static int waits(int arg)
{
	char c;
	pid_t pid;

	(void)arg;
	tree_report();
	pid = vfork();
	if (!pid)
		_exit(syscall(SYS_read, tree_gate[0], &c, 1) == 1 ? 5 : 6);
	tree_ends(pid, 5 << 8, "the child of vfork");
	return 44;
}

static int churns(int arg)
{
	char *const args[] = {"true", NULL}, *const env[] = {NULL};

	(void)arg;
	for (int n = 0; !*over; n++) {
		pid_t pid;
		int err = posix_spawn(&pid, "/bin/true", NULL, NULL, args, env);

		CHECK(err == 0, "posix_spawn: %s", strerror(err));
		tree_ends(pid, 0, "/bin/true");
		if (n == 10)
			tree_report();
	}
	return 45;
}

int main(int argc, char **argv)
{
	bool wait = argc == 2 && !strcmp(argv[1], "waits");
	pid_t pid;

	victim_init(argc, argv);
	tree_init();
	over = victim_shared(sizeof(*over));
	pid = tree_fork(wait ? waits : churns, 0);
	tree_expect(1);
	if (wait)
		tree_until(pid, 'D');
	victim_ready();
	victim_wait();
	*over = 1;
	tree_open(1);
	tree_ends(pid, (wait ? 44 : 45) << 8, "the child");
	tree_no_more();
	return 0;
}
