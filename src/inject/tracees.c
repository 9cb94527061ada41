/*
 * tracees.c - seizing, holding and releasing the threads of a process.
 *
 * Rests on: PTRACE_SEIZE leaves no trace when the tracer dies; PTRACE_INTERRUPT makes an EVENT_STOP
 * on the signal path, from which the kernel restarts an interrupted system call by itself once the
 * thread is detached with its registers unchanged. Waits are never consuming (kernel/ptrace.h).
 */
#include "inject/tracees.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/rseq.h>

#include "core/trace.h"
#include "inject/await.h"
#include "inject/drive.h"
#include "inject/fragile.h"
#include "inject/heal.h"
#include "inject/leftover.h"
#include "inject/rewait.h"
#include "inject/slack.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_vdso.h"
#include "kernel/proc_status.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

#define STOP_TIMEOUT_NS (10ULL * 1000000000ULL)

int tracees_read(struct tracees *tr, uint64_t addr, void *buf, size_t len)
{
	struct iovec l = {buf, len}, r = {(void *)addr, len};
	ssize_t n = process_vm_readv(tr->alive, &l, 1, &r, 1, 0);

	if (n == (ssize_t)len)
		return 0;
	return pread_full(tr->mem_fd, buf, len, addr);
}

int tracees_write(struct tracees *tr, uint64_t addr, const void *buf, size_t len)
{
	return pwrite_full(tr->mem_fd, buf, len, addr);
}

struct tracee *tracees_leader(struct tracees *tr)
{
	for (size_t i = 0; i < tr->n; i++)
		if (!tr->v[i].dead)
			return &tr->v[i];
	return NULL;
}

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

/*
 * A thread stopped inside a restartable sequence would be sent to its abort handler when it goes on
 * by itself; code that we inject would make the kernel forget that. So its context is the handler.
 */
static void rseq_abort(struct tracees *tr, struct tracee *t)
{
	struct rseq_cs cs;
	uint64_t cs_addr = 0;

	if (tracees_read(tr, t->rseq.address + offsetof(struct rseq, rseq_cs), &cs_addr, 8) < 0 ||
		!cs_addr || tracees_read(tr, cs_addr, &cs, sizeof(cs)) < 0)
		return;
	if (arch_ip(&t->regs) - cs.start_ip < cs.post_commit_offset)
		arch_ip_set(&t->regs, cs.abort_ip);
}

int tracee_snapshot(struct tracees *tr, struct tracee *t)
{
	const struct wait_seen *seen;
	struct rseq_config rc = {0};
	int r = arch_regs_get(t->tid, &t->regs);

	if (r == 0)
		r = leftover_leave(tr, t);
	if (r < 0)
		return r;
	r = ptrace_getsigmask(t->tid, &t->sigmask);
	if (r < 0)
		return r;
	ptrace_rseq_config(t->tid, &rc);
	t->rseq = rc;
	/* inside a system call it is in no such sequence: these may hold none */
	if (rc.address && arch_syscall_nr(&t->regs) < 0)
		rseq_abort(tr, t);
	seen = wait_seen_find(tr, t->tid);
	if (seen && arch_syscall_restarts(&t->regs) &&
		arch_syscall_nr(&t->regs) == SYS_restart_syscall)
		arch_syscall_nr_set(&t->regs, seen->nr);
	t->limit_ns = 0;
	rewait_undo(tr, &t->regs, &t->limit_ns);
	r = heal_stop(t);
	arch_regs_resume(&t->regs, &t->resume);
	return r;
}

static bool known(const struct tracees *tr, size_t sorted, pid_t tid)
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

/* One walk over the threads. Return: how many new ones were found; negative after op_fail(). */
static int seize_pass(struct tracees *tr)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t sorted = tr->n, n = 0;
	int r = proc_tasks(tr->proc_fd, &tids, &n);

	if (r < 0)
		return op_fail(tr->op, CKPT_E_TARGET, -r, "open", NULL, "/proc/%d/task", tr->pid);
	for (size_t i = 0; i < n; i++) {
		if (known(tr, sorted, tids[i]))
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

static void tracee_done(struct tracee *t)
{
	policy_done(&t->policy);
	fragile_drop(t);
}

static void drop_dead(struct tracees *tr)
{
	size_t k = 0;

	for (size_t i = 0; i < tr->n; i++) {
		if (tr->v[i].dead) {
			if (tr->v[i].tid != tr->pid)
				ptrace_reap(tr->v[i].tid);
			else
				tr->leader_dead = true;
			tracee_done(&tr->v[i]);
		} else {
			tr->v[k++] = tr->v[i];
		}
	}
	tr->n = k;
}

static void read_comm(struct tracees *tr)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (file_read_at(tr->proc_fd, proc_task_path(tr->pid, "comm").s, &text, &len) < 0)
		return;
	snprintf(tr->comm, sizeof(tr->comm), "%.*s", (int)strcspn(text, "\n"), text);
}

static int open_mem(struct tracees *tr)
{
	tr->mem_fd = openat(tr->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (tr->mem_fd < 0)
		return op_fail(tr->op,
			errno == EACCES || errno == EPERM ? CKPT_E_PRIVILEGE : CKPT_E_TARGET, errno,
			"open", "run as root or as the program's owner", "/proc/%d/mem (%s)",
			tr->pid, tr->comm);
	return 0;
}

static int open_proc(struct tracees *tr)
{
	tr->proc_fd = proc_open_alive(tr->pid, &tr->alive);
	if (tr->proc_fd < 0)
		return op_fail(tr->op, CKPT_E_TARGET, -tr->proc_fd, NULL, "see ps -e for what runs",
			"pid %d", tr->pid);
	if (!tr->comm[0])
		read_comm(tr);
	return open_mem(tr);
}

/* The leader may have exited since: /proc is then seen through a thread that is held. */
static int follow_leader(struct tracees *tr)
{
	struct proc_stat st;
	int r = 0;

	if (!tr->leader_dead)
		return 0;
	if (!known(tr, tr->n, tr->alive)) {
		tr->mem_fd = fd_close(tr->mem_fd);
		tr->proc_fd = fd_close(tr->proc_fd);
		r = open_proc(tr);
	}
	if (r == 0 && proc_stat_read(tr->proc_fd, tr->pid, &st) == 0)
		tr->leader_exit_status = st.exit_code >> 8 & 0xff;
	return r;
}

static uint64_t auxv_vdso(struct tracees *tr)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	uint64_t pair[2];

	if (file_read_at(tr->proc_fd, "auxv", &text, &len) < 0)
		return 0;
	for (size_t at = 0; at + sizeof(pair) <= len; at += sizeof(pair)) {
		memcpy(pair, text + at, sizeof(pair));
		if (pair[0] == AT_SYSINFO_EHDR)
			return pair[1];
	}
	return 0;
}

/*
 * It may have called execve(2) just before the stop. What was opened of its memory is then the old one,
 * which is gone, or another process's; and the vdso is elsewhere. So the memory is opened again, and what
 * was found of a vdso is only believed if the program was told of it there.
 */
static int follow_exec(struct tracees *tr)
{
	int r;

	tr->mem_fd = fd_close(tr->mem_fd);
	r = open_mem(tr);
	if (r < 0 || auxv_vdso(tr) == tr->vdso_start)
		return r;
	tr->slack_start = tr->slack_end = 0;
	read_comm(tr);
	return 0;
}

static int look_at_all(struct tracees *tr)
{
	int r = policy_load(tr);

	if (r < 0)
		return op_fail(tr->op, CKPT_E_TARGET, -r, "read", NULL,
			"/proc/%d/task/*/status (%s)", tr->pid, tr->comm);
	for (size_t i = 0; i < tr->n; i++) {
		ptrace_sud_get(tr->v[i].tid, &tr->v[i].sud);
		r = tracee_snapshot(tr, &tr->v[i]);
		if (r < 0)
			return op_fail(tr->op, CKPT_E_TARGET, -r, "ptrace(PTRACE_GETREGSET)", NULL,
				"pid %d (%s): thread %d", tr->pid, tr->comm, tr->v[i].tid);
	}
	return 0;
}

/* A thread that was not yet stopped may have made another: done when a walk finds nobody new. */
static int stop_all(struct tracees *tr)
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

static void tracees_free(struct tracees *tr)
{
	for (size_t i = 0; i < tr->n; i++)
		tracee_done(&tr->v[i]);
	fd_close(tr->mem_fd);
	fd_close(tr->proc_fd);
	free(tr->seen);
	free(tr->v);
	free(tr);
}

/* After the measurement, which counts how often a thread has slept. */
static int all_anew(struct tracees *tr)
{
	for (size_t i = 0; i < tr->n; i++) {
		int r = tr->v[i].dead ? 0 : drive_anew(tr, &tr->v[i]);

		if (r < 0)
			return op_fail(tr->op, CKPT_E_TARGET, -r, "ptrace", NULL,
				"pid %d (%s): thread %d: its sleep", tr->pid, tr->comm,
				tr->v[i].tid);
	}
	return 0;
}

/* The place for injected code is found before the stop: only execve(2) moves the vdso. */
static int find_slack(struct tracees *tr)
{
	uint64_t end;
	int r = proc_vdso_find(tr->proc_fd, &tr->vdso_start, &end);

	if (r < 0)
		return op_fail(tr->op,
			r == -EACCES || r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_TARGET, -r, "read",
			"run as root or as the program's owner", "/proc/%d/maps", tr->pid);
	slack_find(tr, tr->vdso_start, end);
	return 0;
}

int tracees_open(struct ckpt_op *op, pid_t pid, struct tracees **ret)
{
	struct tracees *tr = calloc(1, sizeof(*tr));
	int r;

	if (!tr)
		return op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d", pid);
	*tr = (struct tracees){.op = op, .pid = pid, .proc_fd = -EBADF, .mem_fd = -EBADF};
	op_target(op, CKPT_TARGET_NONE);
	r = open_proc(tr);
	if (r == 0)
		r = find_slack(tr);
	if (r < 0) {
		tracees_release(tr, false);
		return r;
	}
	waits_look(tr);
	*ret = tr;
	return 0;
}

int tracees_ask_to_stop(struct tracees *tr)
{
	int r;

	op_target(tr->op, CKPT_TARGET_RUNNING);
	tr->stopped_at_ns = now_ns();
	r = seize_pass(tr);
	return MIN(r, 0);
}

int tracees_hold(struct tracees *tr)
{
	struct trace_span span = trace_begin(tr->op->trace, "stop", tr->pid, 0);
	int r = stop_all(tr);

	trace_end(&span);
	if (r < 0)
		return r;
	drop_dead(tr);
	if (tr->n == 0)
		return op_fail(tr->op, CKPT_E_TARGET, ESRCH, NULL, NULL,
			"pid %d (%s) died while it was being stopped", tr->pid, tr->comm);
	if (follow_leader(tr) < 0 || follow_exec(tr) < 0)
		return -ESRCH;
	span = trace_begin(tr->op->trace, "look", tr->pid, 0);
	r = look_at_all(tr);
	trace_end(&span);
	if (r < 0)
		return r;
	waits_measure(tr);
	return all_anew(tr);
}

/* What was left at the stop is less by now. */
static void shorten(struct tracees *tr, struct tracee *t, uint64_t *from)
{
	uint64_t stopped = now_ns() - tr->stopped_at_ns;

	if (t->anew && t->left_known &&
		rewait(tr, &t->regs, t->left_ns > stopped ? t->left_ns - stopped : 1, from))
		arch_regs_set(t->tid, &t->regs);
}

void tracees_release(struct tracees *tr, bool stop)
{
	uint64_t from = 0;

	if (!tr)
		return;
	slack_clear(tr);
	if (stop)
		kill(tr->pid, SIGSTOP);
	for (size_t i = 0; i < tr->n; i++) {
		struct tracee *t = &tr->v[i];

		if (t->dead)
			continue;
		if (!t->held && tracee_wait_event(tr, t) < 0)
			continue;
		shorten(tr, t, &from);
		ptrace_detach(t->tid, 0);
	}
	tracees_free(tr);
}

int tracees_kill(struct tracees *tr)
{
	_cleanup_close_ int pidfd = tr->big ? pidfd_of(tr->pid) : -EBADF;
	struct wait_status s;
	int r = kill(tr->pid, SIGKILL) < 0 ? -errno : 0;

	if (r == 0 && pidfd >= 0)
		pidfd_free_memory(pidfd);
	/* the leader last: its exit can't be waited for while traced threads are not yet reaped */
	for (size_t i = tr->n; r == 0 && i-- > 0;)
		if (tr->v[i].tid != tr->pid)
			ptrace_reap_killed(tr->v[i].tid);
	while (r == 0 && !tr->leader_dead && ptrace_wait(tr->pid, 0, &s) == 0 && !wait_is_dead(&s))
		;
	tracees_free(tr);
	return r;
}
