/*
 * e2e: settle: 0.1
 * e2e: slow: yes
 *
 * Holds: processes that fork children all the time, which fork themselves, and end soon.
 * Shows: "New tasks forked while the dump seizes: none is missed": whoever forks one waits for it, and
 *        it ends with the status that it has to.
 */
#include "tree.h"

#define FORKERS 2
#define AT_ONCE 4

static volatile sig_atomic_t *over;

static int leaf(int status)
{
	usleep(200 + status % 7 * 300);
	return status;
}

static int branch(int status)
{
	pid_t pid = tree_fork(leaf, (status * 3 + 1) % 100);

	usleep(100);
	tree_ends(pid, (status * 3 + 1) % 100 << 8, "the child of a child");
	return status;
}

static int forker(int seed)
{
	pid_t pid[AT_ONCE] = {0};
	int status[AT_ONCE] = {0}, n = seed;

	while (!*over) {
		int at = n % AT_ONCE;

		if (pid[at])
			tree_ends(pid[at], status[at] << 8, "a child");
		status[at] = n * 7 % 100;
		pid[at] = tree_fork(n % 3 ? leaf : branch, status[at]);
		n++;
		if (n == seed + 20)
			tree_report();
	}
	for (int at = 0; at < AT_ONCE; at++)
		if (pid[at])
			tree_ends(pid[at], status[at] << 8, "one of the last children");
	tree_no_more();
	return seed;
}

int main(int argc, char **argv)
{
	pid_t pid[FORKERS];

	victim_init(argc, argv);
	tree_init();
	over = victim_shared(sizeof(*over));
	for (int i = 0; i < FORKERS; i++)
		pid[i] = tree_fork(forker, i);
	tree_expect(FORKERS);
	victim_ready();
	victim_wait();
	*over = 1;
	for (int i = 0; i < FORKERS; i++)
		tree_ends(pid[i], i << 8, "a forker");
	tree_no_more();
	return 0;
}
