/*
 * e2e: args: none files fs vm sighand io
 *
 * Holds: a child that shares with its parent by a flag of clone(2), without being its thread; none: it
 *        shares nothing.
 * Shows: "Tasks that share by clone flags: CLONE_FILES, CLONE_FS, CLONE_VM without CLONE_THREAD,
 *        CLONE_SIGHAND, CLONE_IO".
 */
#include "tree.h"
#include <linux/kcmp.h>
#include <sched.h>

#define IOPRIO_BE_3   (2 << 13 | 3)
#define IOPRIO_BE_5   (2 << 13 | 5)
#define IOPRIO_OF_PID 1

static const struct {
	const char *name;
	unsigned flags;
} kinds[] = {{"none", 0}, {"files", CLONE_FILES}, {"fs", CLONE_FS}, {"vm", CLONE_VM},
	{"sighand", CLONE_VM | CLONE_SIGHAND}, {"io", CLONE_IO}};

static const struct {
	const char *name;
	unsigned flag;
	int kcmp;
} shares[] = {{"memory", CLONE_VM, KCMP_VM}, {"descriptors", CLONE_FILES, KCMP_FILES},
	{"directory", CLONE_FS, KCMP_FS}, {"handlers", CLONE_SIGHAND, KCMP_SIGHAND},
	{"I/O context", CLONE_IO, KCMP_IO}};

static volatile int word = 1;
static int made_fd = -1;
static char stack[64 * 1024] __attribute__((aligned(16)));

static void handler(int sig)
{
	(void)sig;
}

/* It may share the parent's memory and thread-local data, so it calls what needs none of them. */
static int child(void *arg)
{
	char c;

	(void)arg;
	if (syscall(SYS_write, tree_up[1], "u", 1) != 1 ||
		syscall(SYS_read, tree_gate[0], &c, 1) != 1)
		return 90;
	word = 2;
	if (syscall(SYS_chdir, "/") != 0)
		return 91;
	if (syscall(SYS_dup3, tree_up[1], 77, 0) != 77)
		return 92;
	struct {
		void *handler;
		unsigned long flags, restorer, mask;
	} act = {.handler = (void *)1 /* SIG_IGN */};
	if (syscall(SYS_rt_sigaction, SIGUSR2, &act, NULL, 8) != 0)
		return 93;
	if (syscall(SYS_ioprio_set, IOPRIO_OF_PID, 0, IOPRIO_BE_5) != 0)
		return 94;
	return 33;
}

static void check_kcmp(pid_t pid, unsigned flags)
{
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		long r = syscall(SYS_kcmp, getpid(), pid, shares[i].kcmp, 0, 0);

		CHECK(r >= 0, "kcmp: %s", strerror(errno));
		CHECK((r == 0) == !!(flags & shares[i].flag), "%s: %s", shares[i].name,
			r ? "not shared any more" : "shared, and was not");
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = handler};
	char cwd[1024];
	unsigned flags = ~0U;
	pid_t pid;

	victim_init(argc, argv);
	for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[1], kinds[i].name))
			flags = kinds[i].flags;
	CHECK(flags != ~0U, "no such kind");
	tree_init();
	MUST(sigaction(SIGUSR2, &act, NULL));
	MUST(syscall(SYS_ioprio_set, IOPRIO_OF_PID, 0, IOPRIO_BE_3));
	pid = MUST(clone(child, stack + sizeof(stack), (int)(flags | SIGCHLD), NULL));
	tree_expect(1);
	check_kcmp(pid, flags);
	victim_ready();
	victim_wait();
	check_kcmp(pid, flags);
	made_fd = fcntl(77, F_GETFD);
	CHECK(made_fd == -1, "the test is broken");
	tree_open(1);
	tree_ends(pid, 33 << 8, "the child");
	CHECK(word == (flags & CLONE_VM ? 2 : 1), "memory: the child's word: got %d", word);
	CHECK((fcntl(77, F_GETFD) >= 0) == !!(flags & CLONE_FILES), "descriptors: the child's one");
	CHECK(getcwd(cwd, sizeof(cwd)), "getcwd: %s", strerror(errno));
	CHECK(!strcmp(cwd, "/") == !!(flags & CLONE_FS), "directory: in %s", cwd);
	MUST(sigaction(SIGUSR2, NULL, &act));
	CHECK(act.sa_handler == (flags & CLONE_SIGHAND ? SIG_IGN : handler), "handlers");
	CHECK(syscall(SYS_ioprio_get, IOPRIO_OF_PID, 0) ==
			(flags & CLONE_IO ? IOPRIO_BE_5 : IOPRIO_BE_3),
		"I/O priority: got %#lx", syscall(SYS_ioprio_get, IOPRIO_OF_PID, 0));
	return 0;
}
