/*
 * Holds: a chain of 100 processes, each the child of the one before.
 * Shows: "Children of any depth and number (tested: ... chains 100 deep), original pids, parents".
 */
#include "tree.h"

#define DEPTH 100

static int link_of_chain(int depth)
{
	struct tree_self self = tree_self();
	pid_t next;

	if (depth == DEPTH) {
		tree_report();
		tree_pass();
	} else {
		next = tree_fork(link_of_chain, depth + 1);
		tree_ends(next, (depth + 1) << 8, "a link of the chain");
	}
	tree_same(&self, "a link of the chain");
	return depth;
}

int main(int argc, char **argv)
{
	pid_t first;

	victim_init(argc, argv);
	tree_init();
	first = tree_fork(link_of_chain, 1);
	tree_expect(1);
	victim_ready();
	victim_wait();
	tree_open(1);
	tree_ends(first, 1 << 8, "the first link");
	tree_no_more();
	return 0;
}
