/*
 * taken.c - see taken.h.
 *
 * A number is taken by a process, by one of its threads, or, when neither is left, by the processes
 * that are still in the group or session of that number.
 */
#include "restore/taken.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_status.h"
#include "util/cleanup.h"

#define ELSEWHERE "or restore with --pidns, in a pid namespace where the number is free"

static void comm_of(pid_t pid, struct proc_stat *st)
{
	_cleanup_close_ int fd = proc_open(pid);

	if (fd < 0 || proc_stat_read(fd, 0, st) < 0)
		*st = (struct proc_stat){.comm = "?"};
}

static int fail_process(struct ckpt_op *op, const char *who, const struct proc_stat *st)
{
	struct proc_stat parent;

	comm_of(st->ppid, &parent);
	if (st->state == 'Z')
		return op_fail(op, CKPT_E_CONFLICT, EEXIST, "clone3",
			"let the parent wait(2) for it, or end the parent; " ELSEWHERE,
			"%s: pid %d is taken by %s, which is dead but not reaped by its parent, pid "
			"%d (%s)",
			who, st->pid, st->comm, st->ppid, parent.comm);
	return op_fail(op, CKPT_E_CONFLICT, EEXIST, "clone3", "end that process first, " ELSEWHERE,
		"%s: pid %d is taken by %s, a child of pid %d (%s)", who, st->pid, st->comm,
		st->ppid, parent.comm);
}

static int fail_thread(struct ckpt_op *op, const char *who, pid_t tid, pid_t tgid)
{
	struct proc_stat process;

	comm_of(tgid, &process);
	return op_fail(op, CKPT_E_CONFLICT, EEXIST, "clone3", "end that process first, " ELSEWHERE,
		"%s: the number %d is taken by a thread of pid %d (%s), a child of pid %d", who,
		tid, tgid, process.comm, process.ppid);
}

/* Somebody in the group or session of that number. Return: 1 found, 0 not. */
static int find_member(pid_t id, struct proc_stat *ret)
{
	_cleanup_close_ int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ int *pids = NULL;
	size_t n = 0;

	if (dir < 0 || proc_numbers(dir, ".", &pids, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		comm_of(pids[i], ret);
		if (ret->pid && (ret->pgrp == id || ret->session == id))
			return 1;
	}
	return 0;
}

int taken_fail(struct ckpt_op *op, const char *who, pid_t id)
{
	_cleanup_close_ int fd = proc_open(id);
	struct proc_status status;
	struct proc_stat st;
	pid_t tgid = id;

	if (fd >= 0 && proc_status_read(fd, 0, &status) == 0) {
		tgid = status.tgid;
		proc_status_done(&status);
	}
	if (fd >= 0 && tgid != id)
		return fail_thread(op, who, id, tgid);
	if (fd >= 0 && proc_stat_read(fd, 0, &st) == 0)
		return fail_process(op, who, &st);
	if (find_member(id, &st))
		return op_fail(op, CKPT_E_CONFLICT, EEXIST, "clone3",
			"end what is left of it first, " ELSEWHERE,
			"%s: the number %d is still that of the %s of pid %d (%s)", who, id,
			st.session == id ? "session" : "process group", st.pid, st.comm);
	return op_fail(op, CKPT_E_CONFLICT, EEXIST, "clone3", "try again",
		"%s: the number %d was taken, and is free again", who, id);
}
