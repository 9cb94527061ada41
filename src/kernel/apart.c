/*
 * apart.c - see apart.h.
 */
#include "kernel/apart.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES (128UL * 1024)

struct call {
	int (*fn)(void *arg);
	void *arg;
	int r;
};

static int child(void *arg)
{
	struct call *c = arg;

	setsid();
	c->r = c->fn(c->arg);
	return 0;
}

static int run(int flags, struct call *c)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, mask;
	int pid, err;

	if (stack == MAP_FAILED)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	pid = clone(child, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | flags, c);
	err = errno;
	if (pid > 0)
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	munmap(stack, STACK_BYTES);
	return pid < 0 ? -err : c->r;
}

int apart(int (*fn)(void *arg), void *arg)
{
	struct call c = {fn, arg, -ECHILD};

	return run(CLONE_FILES, &c);
}

int apart_files(int (*fn)(void *arg), void *arg)
{
	struct call c = {fn, arg, -ECHILD};

	return run(0, &c);
}
