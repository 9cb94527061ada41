/*
 * sleep.c - see sleep.h.
 *
 * Verified on Linux 6.18: an interrupt that is asked for at the entry of nanosleep, clock_nanosleep,
 * futex and poll makes them set up their deadline and return -ERESTART_RESTARTBLOCK at once.
 */
#include "restore/sleep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "inject/rewait.h"
#include "inject/slack.h"
#include "inject/tracees.h"
#include "inject/wait.h"
#include "kernel/proc.h"
#include "kernel/proc_maps.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"

#define MAX_ERRNO 4095

/* A place in the thread's memory that is lent for a moment: the top of its stack. No other thread of
 * the program runs meanwhile. */
struct loan {
	pid_t tid;
	uint64_t at;
	struct timespec was;
};

static int copy(pid_t tid, uint64_t at, struct timespec *ts, bool write)
{
	struct iovec here = {ts, sizeof(*ts)}, there = {(void *)(uintptr_t)at, sizeof(*ts)};
	ssize_t n = write ? process_vm_writev(tid, &here, 1, &there, 1, 0)
			  : process_vm_readv(tid, &here, 1, &there, 1, 0);

	return n == sizeof(*ts) ? 0 : n < 0 ? -errno : -EFAULT;
}

static int lend(struct loan *l, pid_t tid, uint64_t at, uint64_t ns)
{
	struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	if (copy(tid, at, &l->was, false) < 0)
		return -EFAULT;
	l->tid = tid;
	l->at = at;
	return copy(tid, at, &ts, true);
}

static void give_back(struct loan *l)
{
	if (l->at)
		copy(l->tid, l->at, &l->was, true);
}

static int wait_for(pid_t tid, int kind)
{
	struct wait_status s;
	int r = ptrace_wait(tid, 0, &s);

	if (r == 0 && wait_is_dead(&s))
		return -ESRCH;
	return r < 0 ? r : (int)s.kind == kind ? 0 : -EPROTO;
}

/* From an EVENT_STOP through the call, into an EVENT_STOP. */
static int call_and_break_off(pid_t tid, const struct arch_regs *call, struct arch_regs *ret)
{
	int r = arch_regs_set(tid, call);

	if (r == 0)
		r = ptrace_syscall(tid, 0);
	if (r == 0)
		r = wait_for(tid, WAIT_SYSCALL_STOP);
	if (r == 0)
		r = ptrace_interrupt(tid);
	if (r == 0)
		r = ptrace_cont(tid, 0);
	if (r == 0)
		r = wait_for(tid, WAIT_EVENT_STOP);
	return r < 0 ? r : arch_regs_get(tid, ret);
}

/* The call, with what is left in place of its limit where that is known, else with its own. */
static int call_of(pid_t tid, const Ckpt__Regs *m, const struct arch_regs *regs, struct loan *loan,
	struct arch_regs *ret)
{
	const struct wait_limit *limit;
	uint64_t args[6], left;
	int r;

	for (int i = 0; i < 6; i++)
		args[i] = arch_syscall_arg(regs, i);
	limit = wait_limit_of(arch_syscall_nr(regs), args);
	*ret = *regs;
	arch_syscall_rewind(ret);
	if (!limit || !m->remaining_known)
		return 0;
	/* enough that it is not over before it is broken off */
	left = m->remaining_ns < NS_PER_MS ? NS_PER_MS : m->remaining_ns;
	if (limit->form == WAIT_MILLISECONDS) {
		arch_syscall_arg_set(ret, limit->arg, (left + NS_PER_MS - 1) / NS_PER_MS);
		return 0;
	}
	r = lend(loan, tid, arch_sp(regs) & ~15ULL, left);
	if (r == 0)
		arch_syscall_arg_set(ret, limit->arg, loan->at);
	return r;
}

/* The vdso of the new process, whose slack takes the limits that calls point to. */
static struct tracees *slack_open(struct ckpt_op *op, pid_t pid)
{
	_cleanup_close_ int proc_fd = proc_open(pid);
	struct tracees *tr = calloc(1, sizeof(*tr));
	struct vma_list maps = {0};

	if (!tr)
		return NULL;
	*tr = (struct tracees){.op = op, .pid = pid, .proc_fd = -EBADF, .mem_fd = -EBADF};
	if (proc_fd >= 0 && proc_maps_read(proc_fd, &maps) == 0)
		tr->mem_fd = openat(proc_fd, "mem", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; tr->mem_fd >= 0 && i < maps.n; i++)
		if (maps.v[i].path && strcmp(maps.v[i].path, "[vdso]") == 0)
			slack_find(tr, maps.v[i].start, maps.v[i].end);
	vma_list_done(&maps);
	return tr;
}

void sleepers_done(struct sleepers *s)
{
	if (s->slack)
		fd_close(s->slack->mem_fd);
	free(s->slack);
	*s = (struct sleepers){0};
}

static void begin_anew(struct ckpt_op *op, struct sleepers *s, pid_t pid, const Ckpt__Regs *m,
	struct arch_regs *regs)
{
	arch_regs_restored(regs);
	if (!m->remaining_known)
		return;
	if (!s->slack)
		s->slack = slack_open(op, pid);
	if (s->slack)
		rewait(s->slack, regs, m->remaining_ns ? m->remaining_ns : 1, &s->slack_from);
}

int sleep_begin(struct ckpt_op *op, struct sleepers *s, pid_t pid, pid_t tid, const Ckpt__Regs *m,
	struct arch_regs *regs)
{
	struct arch_regs call, after;
	struct loan loan = {0};
	int r;

	if (!arch_syscall_restarts(regs) || call_of(tid, m, regs, &loan, &call) < 0) {
		begin_anew(op, s, pid, m, regs);
		return 0;
	}
	r = call_and_break_off(tid, &call, &after);
	give_back(&loan);
	if (r < 0)
		return op_fail(op, CKPT_E_SYSTEM, -r, "ptrace", NULL,
			"thread %d: continuing its sleep", tid);
	if (arch_syscall_restarts(&after))
		return 0;
	/* the time was over, or what it waited for had come: the call has ended, with this result */
	if (arch_syscall_ret(&after) >= -MAX_ERRNO && arch_syscall_ret(&after) != -EINTR)
		arch_syscall_ended(regs, arch_syscall_ret(&after));
	else
		begin_anew(op, s, pid, m, regs);
	return 0;
}
