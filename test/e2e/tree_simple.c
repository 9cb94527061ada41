/*
 * Holds: a process with three children, one of which has a child; each has changed memory that they had
 *        in common before the fork, and a pipe leads from each to the next.
 * Shows: "Children of any depth and number, original pids, parents"; "the parent's view is right
 *        afterwards: wait4 gets the same children and statuses, SIGCHLD behaves".
 * e2e: exec: yes
 */
#include "tree.h"

#define N 4

static int ring[N + 1][2];
static char common[3 * 4096], own[4096];
static volatile int told;

static void on_child(int sig)
{
	(void)sig;
	told++;
}

static void check_memory(int i)
{
	for (size_t k = 0; k < sizeof(common); k++)
		CHECK(common[k] == (char)(k / 4096 == 1 ? 50 + i : (int)k % 100),
			"task %d: byte %zu of common memory: got %d", i, k, common[k]);
	for (size_t k = 0; k < sizeof(own); k++)
		CHECK(own[k] == (char)(i + k), "task %d: byte %zu of own memory", i, k);
}

static void fill_memory(int i)
{
	memset(common + 4096, 50 + i, 4096);
	for (size_t k = 0; k < sizeof(own); k++)
		own[k] = (char)(i + k);
}

static int child(int i)
{
	struct tree_self self = tree_self();
	pid_t grandchild = 0;
	int value;

	fill_memory(i);
	if (i == 2)
		grandchild = tree_fork(child, 3);
	tree_report();
	CHECK(read(ring[i][0], &value, sizeof(value)) == sizeof(value), "task %d: its pipe: %s", i,
		strerror(errno));
	tree_same(&self, "a child");
	check_memory(i);
	value += 1 << (4 * i);
	MUST(write(ring[i + 1][1], &value, sizeof(value)));
	if (grandchild)
		tree_ends(grandchild, 13 << 8, "the grandchild");
	return 10 + i;
}

int main(int argc, char **argv)
{
	/* not of a stop: a restore that leaves all stopped stops them */
	struct sigaction act = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	struct tree_self self;
	pid_t pid[3];
	int value = 0;

	victim_init(argc, argv);
	tree_init();
	for (int i = 0; i <= N; i++)
		MUST(pipe(ring[i]));
	for (size_t k = 0; k < sizeof(common); k++)
		common[k] = (char)(k % 100);
	MUST(sigaction(SIGCHLD, &act, NULL));
	for (int i = 0; i < 3; i++)
		pid[i] = tree_fork(child, i);
	fill_memory(9);
	self = tree_self();
	tree_expect(N);
	victim_ready();
	victim_wait();
	self.ppid = getppid(); /* the root is a child of who restores it */
	tree_same(&self, "the root");
	check_memory(9);
	CHECK(told == 0, "a SIGCHLD, although no child has ended");
	CHECK(waitpid(-1, NULL, WNOHANG) == 0, "a child has ended");
	MUST(write(ring[0][1], &value, sizeof(value)));
	CHECK(read(ring[N][0], &value, sizeof(value)) == sizeof(value), "the last pipe");
	CHECK(value == 0x1111, "expected 0x1111 from the ring, got %#x", value);
	for (int i = 0; i < 3; i++)
		tree_ends(pid[i], (10 + i) << 8, "a child");
	tree_no_more();
	CHECK(told > 0, "no SIGCHLD");
	return 0;
}
