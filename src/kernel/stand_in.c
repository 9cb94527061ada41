/*
 * stand_in.c - see stand_in.h.
 */
#include "kernel/stand_in.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/own_thread.h"

#define UNCHANGED (-1)

/* A change of the effective user id clears what is in effect, not what is permitted. */
static int raise_caps(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = data[i].permitted;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* In the child; by system calls alone, libc's functions would tell other threads of it. */
static int become(const struct stand_in *who)
{
	if (who->groups_too && syscall(SYS_setgroups, who->n_groups, who->groups) < 0)
		return -errno;
	if (!who->ids)
		return 0;
	if (syscall(SYS_setresgid, UNCHANGED, who->gid, UNCHANGED) < 0 ||
		syscall(SYS_setresuid, UNCHANGED, who->uid, UNCHANGED) < 0)
		return -errno;
	return raise_caps();
}

struct here {
	const struct stand_in *who;
	int (*fn)(void *arg);
	void *arg;
};

static int here(void *arg)
{
	const struct here *h = arg;
	int r = become(h->who);

	return r < 0 ? r : h->fn(h->arg);
}

/* Like fork(2). No signal at its end: who has us as a library may have a handler. */
static long child_of_number(pid_t pid)
{
	struct clone_args args = {.flags = CLONE_FILES,
		.set_tid = pid ? (uintptr_t)&pid : 0,
		.set_tid_size = pid ? 1 : 0};

	return syscall(SYS_clone3, &args, sizeof(args));
}

int stand_in_run(const struct stand_in *who, int (*fn)(void *arg), void *arg)
{
	struct here self = {who, fn, arg};
	sigset_t all, old;
	long child;
	int status, err;

	if (who->pid == getpid())
		return own_thread_run(here, &self);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	child = child_of_number(who->pid);
	if (child < 0 && who->pid && who->else_any)
		child = child_of_number(0);
	err = errno;
	if (child == 0)
		_exit(-here(&self));
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (child < 0)
		return -err;
	while (waitpid((pid_t)child, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}
