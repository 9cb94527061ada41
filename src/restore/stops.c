/*
 * stops.c - see stops.h.
 *
 * A parent is told of a child's stop twice: by SIGCHLD, and when it waits for its children, once. What it has
 * been told before the dump is taken from it again: the signal as it comes, the other by waiting for it,
 * for which it needs the agent's system call instruction. So it keeps the agent until its children have
 * stopped. Source: wait(2), Linux kernel/signal.c do_signal_stop(), kernel/exit.c wait_task_stopped().
 */
#include "restore/stops.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "arch/arch.h"
#include "kernel/proc_stat.h"
#include "kernel/ptrace.h"
#include "proto/pending.pb-c.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define STANDING_NS NS_PER_S /* a busy machine may take so long to have them stand again */

/* ------------------------------------------------------------------ who */

/* Of tasks that share their memory, the one that has it in the image takes the agent from all. */
static void keep_agent(struct run *r, struct run_task *t)
{
	t->late = true;
	for (size_t i = 0; t->plan->task->vm_of && i < r->tree.n; i++)
		if (r->tasks[i].plan->birth->pid == t->plan->task->vm_of)
			r->tasks[i].late = true;
}

void stops_find(struct run *r)
{
	for (size_t i = 0; i < r->tree.n; i++) {
		struct run_task *t = &r->tasks[i], *parent;
		const Ckpt__Task *task = t->plan->task;

		t->stops = task_plan_lives(t->plan) && (r->frozen || task->stopped);
		t->told = t->stops && (task->stop_told || !task->stopped);
		if (!t->told || i == 0)
			continue;
		parent = &r->tasks[r->tree.tree.v[i].parent];
		parent->waits = true;
		keep_agent(r, parent);
	}
}

/* ------------------------------------------------------------------ stopping */

/* The end of a stop for which the mask was changed. */
static int mask_again(struct run *r, const struct run_task *t, pid_t tid, int ret, uint64_t mask,
	const char *what)
{
	if (ret == 0)
		ret = ptrace_setsigmask(tid, mask);
	return ret < 0 ? op_fail(r->op, CKPT_E_SYSTEM, -ret, "ptrace(PTRACE_CONT)", NULL,
				 "pid %d: %s", t->pid, what)
		       : 0;
}

/* It takes nothing but the stop of its group. */
static int stop_thread(struct run *r, struct run_task *t, pid_t tid, bool first)
{
	struct wait_status w = {0};
	uint64_t mask;
	int ret = ptrace_getsigmask(tid, &mask);

	if (ret == 0)
		ret = ptrace_setsigmask(tid, UINT64_MAX);
	if (ret == 0 && first)
		kill(t->pid, SIGSTOP);
	while (ret == 0 && w.kind != WAIT_GROUP_STOP) {
		ret = ptrace_cont(tid, w.kind == WAIT_SIGNAL_STOP ? w.sig : 0);
		if (ret == 0)
			ret = run_wait(t, tid, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, t, &w);
	}
	return mask_again(r, t, tid, ret, mask, "stopping it");
}

/*
 * A thread takes its own pending signals before the SIGSTOP of its process, and would run their
 * handlers. Once the stop has begun it takes nothing, so one thread begins it with everything else
 * blocked. The others join it, as its parent is told when the last has.
 */
static int stop_group(struct run *r, struct run_task *t)
{
	pid_t first = task_plan_alive(t->plan)->tid;
	int ret = stop_thread(r, t, first, true);

	for (size_t i = 0; i < t->plan->n && ret == 0; i++) {
		const struct thread_plan *th = &t->plan->threads[i];

		if (!th->exits && th->tid != first)
			ret = stop_thread(r, t, th->tid, false);
	}
	return ret;
}

/* ------------------------------------------------------------------ what parents are told */

/* A call with the agent's instruction, the agent being there still. Return: its result; -errno */
static int call(struct run *r, struct run_task *t, long nr, const uint64_t args[6])
{
	pid_t tid = task_plan_alive(t->plan)->tid;
	struct wait_status w;
	struct arch_regs regs;
	int ret = arch_regs_get(tid, &regs);

	arch_regs_call(&regs, r->area.syscall_insn, nr, args);
	if (ret == 0)
		ret = arch_regs_set(tid, &regs);
	for (int stops = 0; ret == 0 && stops < 2;) {
		ret = ptrace_syscall(tid, 0);
		if (ret == 0)
			ret = run_wait(t, tid, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, t, &w);
		stops += w.kind == WAIT_SYSCALL_STOP;
	}
	if (ret == 0)
		ret = arch_regs_get(tid, &regs);
	return ret < 0 ? ret : (int)arch_syscall_ret(&regs);
}

static int wait_for_stops(struct run *r, struct run_task *t)
{
	for (size_t i = 1; i < r->tree.n; i++) {
		const struct run_task *child = &r->tasks[i];
		uint64_t args[6] = {(uint64_t)child->pid, 0, WUNTRACED | WNOHANG | __WALL, 0};
		int ret;

		if (!child->told || &r->tasks[r->tree.tree.v[i].parent] != t)
			continue;
		ret = call(r, t, SYS_wait4, args);
		if (ret != child->pid)
			return op_fail(r->op, CKPT_E_SYSTEM, ret < 0 ? -ret : 0, "wait4", NULL,
				"pid %d: the stop of its child %d", t->pid, child->pid);
	}
	return 0;
}

static bool child_stops(const struct run *r, size_t parent)
{
	for (size_t i = 1; i < r->tree.n; i++)
		if (r->tasks[i].stops && r->tree.tree.v[i].parent == parent)
			return true;
	return false;
}

/* One that it had at the dump, and is to have: no second one is queued beside it. */
static bool has_sigchld(const struct run *r, const struct run_task *t)
{
	const Ckpt__PendingSignals *m =
		model_get(r->plan->model, &res_pendingshared.type, (uint64_t)t->pid);

	for (size_t i = 0; m && i < m->n_signals; i++)
		if (m->signals[i]->signo == SIGCHLD)
			return true;
	return false;
}

static bool child_stop_pending(pid_t tid)
{
	_cleanup_free_ siginfo_t *v = NULL;
	bool found = false;
	size_t n = 0;

	if (ptrace_peeksiginfo(tid, true, &v, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		found |= v[i].si_signo == SIGCHLD && v[i].si_code == CLD_STOPPED;
	return found;
}

/*
 * A parent was told of its child's stop long ago; SIGCHLD is taken from it once more. The thread is left
 * in the stop in which the signal is dropped.
 */
static int forget_child_stop(struct run *r, struct run_task *t)
{
	pid_t tid = task_plan_alive(t->plan)->tid;
	struct wait_status w = {0};
	uint64_t mask;
	int ret;

	if (has_sigchld(r, t) || !child_stop_pending(tid))
		return 0;
	ret = ptrace_getsigmask(tid, &mask);
	if (ret == 0)
		ret = ptrace_setsigmask(tid, ~(1ULL << (SIGCHLD - 1)));
	if (ret == 0)
		ret = ptrace_cont(tid, 0);
	if (ret == 0)
		ret = run_wait(t, tid, &w);
	if (ret == 0 && wait_is_dead(&w))
		return fail_dead(r, t, &w);
	return mask_again(r, t, tid, ret, mask, "it has been told of its child's stop");
}

/* ------------------------------------------------------------------ the whole */

/* Children first, so that what their parents are told of it can be taken back. */
int stops_make(struct run *r)
{
	bool any = false;
	int ret = 0;

	for (size_t i = 0; i < r->tree.n; i++)
		any |= r->tasks[i].stops;
	for (size_t i = r->tree.tree.n; any && i-- > 0 && ret == 0;) {
		struct run_task *t = &r->tasks[i];

		if (!task_plan_lives(t->plan))
			continue;
		if (t->waits)
			ret = wait_for_stops(r, t);
		if (ret == 0 && t->late)
			ret = finish_task(r, t);
		if (ret == 0 && child_stops(r, i))
			ret = forget_child_stop(r, t);
		if (ret == 0 && t->stops)
			ret = stop_group(r, t);
	}
	return ret;
}

void stops_wait(const struct run *r)
{
	uint64_t deadline = now_ns() + STANDING_NS;

	for (size_t i = 0; i < r->tree.n; i++)
		if (r->tasks[i].stops)
			proc_stat_until_stopped(r->tasks[i].pid, deadline);
}
