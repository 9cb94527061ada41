/*
 * e2e: args: 200 1000
 * e2e: no again,late,fg,faults,kill,loop for 1000: 200 do as well
 * e2e: settle: 0.2
 *
 * Holds: 200 (1000) children, each with memory of its own.
 * Shows: "Children of any depth and number (tested: 1000 processes...)".
 */
#include "tree.h"

#define PAGES 16

static unsigned char *memory;

static int child(int i)
{
	struct tree_self self = tree_self();

	for (int k = 0; k < PAGES * 4096; k += 64)
		memory[k] = (unsigned char)(i * 31 + k / 64);
	tree_report();
	tree_pass();
	tree_same(&self, "a child");
	for (int k = 0; k < PAGES * 4096; k += 64)
		CHECK(memory[k] == (unsigned char)(i * 31 + k / 64), "child %d: byte %d is wrong",
			i, k);
	return i % 251;
}

int main(int argc, char **argv)
{
	int n = argc == 2 ? atoi(argv[1]) : 0;
	pid_t *pid = calloc(n, sizeof(*pid));

	victim_init(argc, argv);
	CHECK(n > 0, "how many?");
	memory = aligned_alloc(4096, PAGES * 4096);
	tree_init();
	for (int i = 0; i < n; i++)
		pid[i] = tree_fork(child, i);
	tree_expect(n);
	victim_ready();
	victim_wait();
	tree_open(n);
	for (int i = 0; i < n; i++)
		tree_ends(pid[i], (i % 251) << 8, "a child");
	tree_no_more();
	return 0;
}
