/*
 * e2e: settle: 0.1
 * e2e: slow: yes
 *
 * Holds: processes that start programs all the time, by fork and execve, as a shell does: at any moment
 *        one of them is just becoming another program, with another memory.
 * Shows: "New tasks forked while the dump seizes: none is missed": also those that execute a program
 *        between the look and the stop; each ends with the status that it was told.
 */
#include "tree.h"

#define STARTERS 4

static volatile sig_atomic_t *over;

/* A chain of three programs; the last one gives the status. */
static void run(int left, const char *status)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", left);
	execl("/proc/self/exe", "tree_exec", "chain", text, status, NULL);
	_exit(99);
}

static int start(int status)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", status);
	run(3, text);
	return 98;
}

static int starter(int seed)
{
	for (int n = seed; !*over; n++) {
		int status = n * 7 % 90 + 1;

		tree_ends(tree_fork(start, status), status << 8, "a program");
		if (n == seed + 5)
			tree_report();
	}
	tree_no_more();
	return seed;
}

int main(int argc, char **argv)
{
	pid_t pid[STARTERS];

	if (argc == 4 && strcmp(argv[1], "chain") == 0) {
		if (atoi(argv[2]) == 0)
			return atoi(argv[3]);
		run(atoi(argv[2]) - 1, argv[3]);
	}
	victim_init(argc, argv);
	tree_init();
	over = victim_shared(sizeof(*over));
	for (int i = 0; i < STARTERS; i++)
		pid[i] = tree_fork(starter, i);
	tree_expect(STARTERS);
	victim_ready();
	victim_wait();
	*over = 1;
	for (int i = 0; i < STARTERS; i++)
		tree_ends(pid[i], i << 8, "a starter");
	tree_no_more();
	return 0;
}
