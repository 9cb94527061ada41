/*
 * vfork.c - see vfork.h.
 *
 * Rests on: the wait is TASK_KILLABLE (kernel/fork.c wait_for_vfork_done()), shown as D; /proc shows the
 * system call of a thread that is blocked.
 */
#include "dump/vfork.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/kcmp.h"
#include "kernel/proc.h"
#include "kernel/proc_children.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_syscall.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define LIMIT_NS 3000000000ULL
#define DOZE_NS  1000000L

static bool is_vfork(const struct proc_syscall *c)
{
#ifdef SYS_vfork
	if (c->nr == SYS_vfork)
		return true;
#endif
	/* clone3 has its flags in memory; nothing else of it sleeps so deeply */
	return (c->nr == SYS_clone && c->args[0] & CLONE_VFORK) || c->nr == SYS_clone3;
}

bool vfork_is_waiting(int proc_fd, pid_t tid)
{
	struct proc_syscall call;
	struct proc_stat st;

	return proc_stat_read(proc_fd, tid, &st) == 0 && st.state == 'D' &&
	       proc_syscall_read(proc_fd, tid, &call) == 0 && is_vfork(&call);
}

/* A thread that waits in vfork(2). Return: its tid; 0: none */
static pid_t vforking(int proc_fd)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;

	if (proc_tasks(proc_fd, &tids, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (vfork_is_waiting(proc_fd, tids[i]))
			return tids[i];
	return 0;
}

/* The child for which it waits: the one that has its memory. */
static pid_t vfork_child(int proc_fd, pid_t tid)
{
	struct proc_children found = {0};
	pid_t child = 0;

	proc_children_of(proc_fd, tid, &found);
	for (size_t i = 0; i < found.n; i++)
		if (kcmp_tasks(tid, found.v[i], KCMP_VM, 0, 0) == KCMP_EQUAL)
			child = found.v[i];
	proc_children_done(&found);
	return child;
}

static void comm_of(pid_t pid, char comm[64])
{
	_cleanup_close_ int proc_fd = proc_open(pid);
	struct proc_stat st;
	bool there = proc_fd >= 0 && proc_stat_read(proc_fd, 0, &st) == 0;

	snprintf(comm, 64, "%s", there ? st.comm : "?");
}

static int refuse(struct ckpt_op *op, int proc_fd, pid_t pid, pid_t tid)
{
	pid_t child = vfork_child(proc_fd, tid);
	char comm[64], child_comm[64];

	comm_of(pid, comm);
	comm_of(child, child_comm);
	return op_fail(op, CKPT_E_REFUSED, 0, NULL, "try again when it has",
		"pid %d (%s) can't be stopped: it waits in vfork(2) for its child %d (%s), which has "
		"called neither execve(2) nor exit(2) yet",
		pid, comm, child, child_comm);
}

int vfork_wait(struct ckpt_op *op, pid_t pid)
{
	const struct timespec doze = {.tv_nsec = DOZE_NS};
	_cleanup_close_ int proc_fd = proc_open(pid);
	uint64_t deadline = now_ns() + LIMIT_NS;
	pid_t tid;

	while (proc_fd >= 0 && (tid = vforking(proc_fd))) {
		if (now_ns() > deadline)
			return refuse(op, proc_fd, pid, tid);
		nanosleep(&doze, NULL);
	}
	return 0;
}

int vfork_refuse(struct ckpt_op *op, pid_t pid)
{
	_cleanup_close_ int proc_fd = proc_open(pid);
	pid_t tid = proc_fd < 0 ? 0 : vforking(proc_fd);

	return tid ? refuse(op, proc_fd, pid, tid) : 0;
}
