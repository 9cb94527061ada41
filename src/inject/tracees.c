/*
 * tracees.c - a process in our hands: opening, holding and releasing it.
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
#include <sys/uio.h>
#include <sys/wait.h>

#include "core/trace.h"
#include "inject/drive.h"
#include "inject/fragile.h"
#include "inject/rewait.h"
#include "inject/seize.h"
#include "inject/slack.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_vdso.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

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
	if (!seize_known(tr, tr->n, tr->alive)) {
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
	int r = seize_all(tr);

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
