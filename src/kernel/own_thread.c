/*
 * own_thread.c - see own_thread.h.
 *
 * A thread that has been joined may still be counted by the kernel for a moment, in which its process is none
 * with one thread.
 */
#include "kernel/own_thread.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DOZE_NS 20000L

struct call {
	int (*fn)(void *arg);
	void *arg;
	pid_t tid;
	int r;
};

static void *thread(void *arg)
{
	struct call *c = arg;

	c->tid = (pid_t)syscall(SYS_gettid);
	c->r = unshare(CLONE_FS) < 0 ? -errno : c->fn(c->arg);
	return NULL;
}

int own_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg, sigset_t *ret_mask)
{
	sigset_t all;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_mask);
	err = pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, ret_mask, NULL);
	return -err;
}

int own_thread_run(int (*fn)(void *arg), void *arg)
{
	struct call c = {.fn = fn, .arg = arg};
	struct timespec doze = {.tv_nsec = DOZE_NS};
	sigset_t mask;
	pthread_t t;
	int r = own_thread_start(&t, thread, &c, &mask);

	if (r < 0)
		return r;
	pthread_join(t, NULL);
	while (syscall(SYS_tgkill, getpid(), c.tid, 0) == 0)
		nanosleep(&doze, NULL);
	return c.r;
}
