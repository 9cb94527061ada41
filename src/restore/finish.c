/*
 * finish.c - the last switch: all threads of all tasks are parked in the agent; they are stopped, the agent
 * goes, they get their registers, and are let go. Nothing of a program runs before all are ready.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include "arch/arch.h"
#include "core/fault.h"
#include "core/hook.h"
#include "kernel/ptrace.h"
#include "proto/regs.pb-c.h"
#include "res/registry.h"
#include "res/task/task.h"
#include "res/thread/regs.h"
#include "res/thread/sud.h"
#include "res/thread/thread.h"
#include "restore/pidns.h"
#include "restore/run.h"
#include "restore/spawn.h"
#include "restore/stops.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define ZOMBIE_NS 2000000000ULL

static int fail_stop(struct run *r, const struct run_task *t, size_t i, int err)
{
	return op_fail(r->op, CKPT_E_SYSTEM, -err, "ptrace(PTRACE_INTERRUPT)", NULL,
		"pid %d: thread %d", t->pid, t->plan->threads[i].tid);
}

/* All are asked before any is waited for, so that they come to their stops side by side. */
static int ask_to_stop(struct run *r, struct run_task *t)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < t->plan->n; i++) {
		ret = ptrace_interrupt(t->plan->threads[i].tid);
		if (ret < 0)
			ret = fail_stop(r, t, i, ret);
	}
	return ret;
}

static int wait_stopped(struct run *r, struct run_task *t)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < t->plan->n; i++) {
		struct wait_status w;

		ret = run_wait(t, t->plan->threads[i].tid, &w);
		if (ret < 0)
			ret = fail_stop(r, t, i, ret);
		else if (wait_is_dead(&w))
			ret = fail_dead(r, t, &w);
	}
	return ret;
}

/* A leader that had exited is brought into exit(2) before the agent's code goes; there it is held. */
static int enter_exit(struct run *r, struct run_task *t)
{
	uint64_t code = (uint64_t)t->plan->task->leader_exit_status;
	struct wait_status w = {0};
	struct arch_regs regs;
	int ret;

	if (!t->plan->threads[0].exits)
		return 0;
	ret = arch_regs_get(t->pid, &regs);
	if (ret == 0) {
		arch_regs_call(&regs, r->area.syscall_insn, SYS_exit, (const uint64_t[6]){code});
		ret = arch_regs_set(t->pid, &regs);
	}
	while (ret == 0 && w.kind != WAIT_SYSCALL_STOP) {
		ret = ptrace_syscall(t->pid, 0);
		if (ret == 0)
			ret = run_wait(t, t->pid, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, t, &w);
	}
	if (ret < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, -ret, "exit", NULL, "pid %d: its first thread",
			t->pid);
	return 0;
}

/* The leader is gone before any other thread runs. */
static void let_exit(const struct run_task *t)
{
	uint64_t deadline = now_ns() + ZOMBIE_NS;
	struct timespec doze = {.tv_nsec = 20000};

	if (!t->plan->threads[0].exits)
		return;
	ptrace_detach(t->pid, 0);
	while (!spawn_is_zombie(t->pid) && now_ns() < deadline)
		nanosleep(&doze, NULL);
}

/*
 * A thread issues munmap with the agent's own instruction, and never returns to it: it is told to stop
 * while it is held at the call's beginning, and does so when the call is done, on the signal path, where
 * all registers can be set. Each step is taken for all tasks before the next, so that they go through
 * the call side by side. Of tasks that share their memory, the one that the image has it of does so for all.
 */
static bool unmaps(const struct run_task *t)
{
	return !t->plan->task->vm_of;
}

static int fail_unmap(struct run *r, const struct run_task *t, int err)
{
	return op_fail(r->op, CKPT_E_SYSTEM, -err, "munmap", NULL, "pid %d: the agent", t->pid);
}

static int unmap_begin(struct run *r, struct run_task *t)
{
	pid_t tid = task_plan_alive(t->plan)->tid;
	struct arch_regs regs;
	int ret;

	if (!unmaps(t))
		return 0;
	ret = arch_regs_get(tid, &regs);
	arch_regs_call(&regs, r->area.syscall_insn, SYS_munmap,
		(const uint64_t[6]){(uintptr_t)r->area.at, r->area.size});
	if (ret == 0)
		ret = arch_regs_set(tid, &regs);
	if (ret == 0)
		ret = ptrace_syscall(tid, 0);
	return ret < 0 ? fail_unmap(r, t, ret) : 0;
}

static int unmap_enter(struct run *r, struct run_task *t)
{
	pid_t tid = task_plan_alive(t->plan)->tid;
	struct wait_status w = {0};
	int ret = 0;

	if (!unmaps(t))
		return 0;
	for (;;) {
		ret = run_wait(t, tid, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, t, &w);
		if (ret < 0 || w.kind == WAIT_SYSCALL_STOP)
			break;
		ret = ptrace_syscall(tid, 0);
		if (ret < 0)
			break;
	}
	if (ret == 0)
		ret = ptrace_interrupt(tid);
	if (ret == 0)
		ret = ptrace_cont(tid, 0);
	return ret < 0 ? fail_unmap(r, t, ret) : 0;
}

static int unmap_end(struct run *r, struct run_task *t)
{
	pid_t tid = task_plan_alive(t->plan)->tid;
	struct wait_status w;
	struct arch_regs regs;
	int ret;

	if (!unmaps(t))
		return 0;
	ret = run_wait(t, tid, &w);
	if (ret == 0 && wait_is_dead(&w))
		return fail_dead(r, t, &w);
	if (ret == 0)
		ret = arch_regs_get(tid, &regs);
	if (ret == 0)
		ret = (int)arch_syscall_ret(&regs);
	return ret < 0 ? fail_unmap(r, t, ret) : 0;
}

static int put_thread(struct run *r, struct run_task *t, pid_t tid)
{
	const Ckpt__Regs *m = model_get(r->plan->model, &res_regs.type, tid);
	struct arch_regs general;
	int ret;

	if (!m)
		return op_fail(r->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"thread %d has no registers in the image", tid);
	ret = regs_general(r->op, tid, m, &general);
	if (ret == 0)
		ret = sleep_begin(r->op, &t->sleepers, t->pid, tid, m, &general);
	if (ret == 0)
		ret = regs_put(r->op, tid, m, &general);
	if (ret == 0)
		ret = sud_put(r->op, r->plan->model, tid);
	return ret;
}

static int put_threads(struct run *r, struct run_task *t)
{
	int ret = 0;

	for (size_t i = 0; i < t->plan->n && ret == 0; i++)
		if (!t->plan->threads[i].exits)
			ret = put_thread(r, t, t->plan->threads[i].tid);
	return ret;
}

/* ------------------------------------------------------------------ all of it */

static int each_task(struct run *r, bool late, int (*f)(struct run *r, struct run_task *t))
{
	int ret = 0;

	for (size_t i = 0; i < r->tree.n && ret == 0; i++)
		if (task_plan_lives(r->tasks[i].plan) && (late || !r->tasks[i].late))
			ret = f(r, &r->tasks[i]);
	return ret;
}

int finish_task(struct run *r, struct run_task *t)
{
	int ret = unmap_begin(r, t);

	if (ret == 0)
		ret = unmap_enter(r, t);
	if (ret == 0)
		ret = unmap_end(r, t);
	return ret < 0 ? ret : put_threads(r, t);
}

/* Nothing fails any more. */
static int all_go(struct run *r)
{
	int ret = 0;

	for (const struct res *const *k = registry(); *k && ret == 0; k++)
		if ((*k)->go)
			ret = (*k)->go(r->plan);
	return ret;
}

/* Who started this has the last word, and gives the terminal to the root. */
static int hand_over(struct run *r)
{
	pid_t foreground = ctty_foreground(r->plan->model, r->tasks[0].pid);
	int ret;

	if (r->ns)
		return pidns_ready(r->ns, r, foreground);
	ret = hooks_call(r->hooks, HOOK_RESTORE_STOPPED);
	if (ret == 0 && r->front->on)
		front_root(r->front, r->tasks[0].pid, foreground);
	return ret;
}

/*
 * The threads that go first may end the process, before the others have been let go. Of a thread that ends
 * while we trace it we have to take the end, or nobody is told of that of its process.
 */
static void let_go(struct run_task *t)
{
	sleepers_done(&t->sleepers);
	for (size_t i = 0; i < t->traced; i++) {
		pid_t tid = t->plan->threads[i].tid;

		if (!t->plan->threads[i].exits && ptrace_detach(tid, 0) == -ESRCH && tid != t->pid)
			ptrace_reap_killed(tid);
	}
	t->traced = 0;
}

int run_finish(struct run *r)
{
	int ret = each_task(r, true, ask_to_stop);

	stops_find(r);
	if (ret == 0)
		ret = each_task(r, true, wait_stopped);
	if (ret == 0)
		ret = each_task(r, true, enter_exit);
	if (ret == 0 && r->become)
		ret = become_tell(r);
	if (ret == 0)
		ret = each_task(r, false, unmap_begin);
	if (ret == 0)
		ret = each_task(r, false, unmap_enter);
	if (ret == 0)
		ret = each_task(r, false, unmap_end);
	if (ret == 0)
		ret = each_task(r, false, put_threads);
	if (ret == 0)
		ret = fault_point(r->op, "restore.finish");
	if (ret == 0)
		ret = hand_over(r);
	if (ret < 0)
		return ret;
	if (r->become)
		become_foreground(r);
	for (size_t i = 0; i < r->tree.n; i++)
		if (task_plan_lives(r->tasks[i].plan))
			let_exit(&r->tasks[i]);
	ret = stops_make(r);
	if (ret == 0)
		ret = all_go(r);
	/* who is left stopped first: nobody is to see it run */
	for (size_t i = 0; i < r->tree.n && ret == 0; i++)
		if (r->tasks[i].stops)
			let_go(&r->tasks[i]);
	if (ret == 0)
		stops_wait(r);
	for (size_t i = 0; i < r->tree.n && ret == 0; i++)
		let_go(&r->tasks[i]);
	return ret;
}
