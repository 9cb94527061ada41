/*
 * seize.c - see seize.h.
 *
 * Rests on: PTRACE_SEIZE leaves no trace when the tracer dies; PTRACE_INTERRUPT makes an EVENT_STOP
 * on the signal path, from which the kernel restarts an interrupted system call by itself once the
 * thread is detached with its registers unchanged. Waits are never consuming (kernel/ptrace.h).
 */
#include "inject/seize.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "inject/await.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_status.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

#define STOP_TIMEOUT_NS (10ULL * NS_PER_S)

int tracee_wait_event(struct tracees *tr, struct tracee *t)
{
	for (;;) {
		struct wait_status s;
		int r = await_stop_timed(t->tid, STOP_TIMEOUT_NS, &s);

		if (r < 0)
			return r;
		switch (s.kind) {
		case WAIT_EVENT_STOP:
			t->held = true;
			return 0;
		case WAIT_GROUP_STOP:
			t->held = true;
			tr->group_stopped = true;
			return 0;
		case WAIT_EXITED:
		case WAIT_KILLED:
			t->dead = true;
			t->held = false;
			return -ESRCH;
		case WAIT_SIGNAL_STOP:
			r = ptrace_cont(t->tid, s.sig);
			break;
		default:
			r = ptrace_cont(t->tid, 0);
			break;
		}
		if (r < 0 && r != -ESRCH)
			return r;
	}
}

int tracee_interrupt(struct tracees *tr, struct tracee *t)
{
	int r = ptrace_interrupt(t->tid);

	if (r < 0)
		return r;
	if (t->held) {
		t->held = false;
		r = ptrace_cont(t->tid, 0);
		if (r < 0)
			return r;
	}
	return tracee_wait_event(tr, t);
}

bool seize_known(const struct tracees *tr, size_t sorted, pid_t tid)
{
	size_t lo = 0, hi = sorted;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (tr->v[mid].tid == tid)
			return true;
		if (tr->v[mid].tid < tid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int by_tid(const void *a, const void *b)
{
	const struct tracee *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

/* The state letter of a thread: 'Z' for a leader that has exited before its threads. */
static char thread_state(const struct tracees *tr, pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *end;

	snprintf(path, sizeof(path), "task/%d/stat", tid);
	if (file_read_at(tr->proc_fd, path, &text, NULL) < 0)
		return 0;
	end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : 0;
}

/* Not allowed, or somebody else has it: another dump may have been a moment faster. */
static int refused(struct tracees *tr, pid_t tid)
{
	struct proc_status st = {};
	struct proc_stat tracer = {.comm = "?"};
	_cleanup_close_ int procfd = -EBADF;

	if (proc_status_read(tr->proc_fd, tid, &st) == 0)
		proc_status_done(&st);
	if (!st.tracer_pid)
		return op_fail(tr->op, CKPT_E_PRIVILEGE, EPERM, "ptrace(PTRACE_SEIZE)",
			"run as root or as the program's owner", "pid %d (%s): thread %d", tr->pid,
			tr->comm, tid);
	procfd = proc_open(st.tracer_pid);
	if (procfd >= 0)
		proc_stat_read(procfd, 0, &tracer);
	return op_fail(tr->op, CKPT_E_CONFLICT, EPERM, "ptrace(PTRACE_SEIZE)",
		"wait until it is through, or end it",
		"pid %d (%s): thread %d is traced by pid %d (%s)", tr->pid, tr->comm, tid,
		st.tracer_pid, tracer.comm);
}

static int seize_one(struct tracees *tr, pid_t tid)
{
	int r = vec_reserve(&tr->v, &tr->cap, tr->n + 1, sizeof(*tr->v));

	if (r < 0)
		return op_fail(tr->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d", tr->pid);
	r = ptrace_seize(tid, PTRACE_O_TRACESYSGOOD);
	if (r == 0) {
		tr->v[tr->n++] = (struct tracee){.tid = tid};
		r = ptrace_interrupt(tid);
		return r == -ESRCH ? 0 : r;
	}
	if (r == -ESRCH)
		return 0;
	if (r == -EPERM) {
		char state = thread_state(tr, tid);

		if (state == 'Z' && tid == tr->pid)
			tr->leader_dead = true;
		if (state == 'Z' || state == 'X' || state == 0)
			return 0;
		return refused(tr, tid);
	}
	return op_fail(tr->op, CKPT_E_SYSTEM, -r, "ptrace(PTRACE_SEIZE)", NULL,
		"pid %d (%s): thread %d", tr->pid, tr->comm, tid);
}

int seize_pass(struct tracees *tr)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t sorted = tr->n, n = 0;
	int r = proc_tasks(tr->proc_fd, &tids, &n);

	if (r < 0)
		return op_fail(tr->op, CKPT_E_TARGET, -r, "open", NULL, "/proc/%d/task", tr->pid);
	for (size_t i = 0; i < n; i++) {
		if (seize_known(tr, sorted, tids[i]))
			continue;
		r = seize_one(tr, tids[i]);
		if (r < 0)
			return r;
	}
	return (int)(tr->n - sorted);
}

static int hold_from(struct tracees *tr, size_t first)
{
	for (size_t i = first; i < tr->n; i++) {
		int r = tracee_wait_event(tr, &tr->v[i]);

		if (r == 0 || r == -ESRCH || r == -ECHILD)
			continue;
		return op_fail(tr->op, CKPT_E_TARGET, -r, "waitid",
			"the thread may be in an uninterruptible wait (see /proc/PID/stack); try again",
			"pid %d (%s): thread %d does not stop", tr->pid, tr->comm, tr->v[i].tid);
	}
	return 0;
}

int seize_all(struct tracees *tr)
{
	for (size_t first = 0;;) {
		int r = hold_from(tr, first);

		if (r < 0)
			return r;
		if (tr->n)
			qsort(tr->v, tr->n, sizeof(*tr->v), by_tid);
		first = tr->n;
		r = seize_pass(tr);
		if (r <= 0)
			return r;
	}
}
