/*
 * run.c - see run.h.
 *
 * Order of events, C the coordinator, T the new task's threads:
 *   C  clone3 with set_tid; the child becomes the agent at once; C seizes it with EXITKILL
 *   T  first thread: session, memory map, files
 *   C  fills the memory; BARRIER_FILLED
 *   T  first thread: what threads share; spawns the others; each: its own state
 *   C  seizes all; BARRIER_TRACED
 *   T  what takes rights away; all park
 *   C  interrupts all, unmaps the area through the first thread, writes registers, detaches
 * No instruction of the program runs before the last. If C dies, EXITKILL ends every thread.
 */
#include "restore/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <linux/sched.h>

#include "arch/arch.h"
#include "core/fault.h"
#include "core/trace.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "kernel/ptrace.h"
#include "kernel/syscall_name.h"
#include "proto/regs.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/mm/mm.h"
#include "res/task/task.h"
#include "res/thread/regs.h"
#include "res/thread/sud.h"
#include "res/thread/thread.h"
#include "restore/fill.h"
#include "restore/spawn.h"
#include "restore/taken.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define NEEDS_PID "run as root: the same pid takes CAP_CHECKPOINT_RESTORE, see `ckpt check`"

#define TRACE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)
#define LOOK_NS       20000000L /* how often a waiting coordinator looks whether the task died */
#define ZOMBIE_NS     2000000000ULL

static struct thread_plan *first_alive(struct run *r)
{
	return &r->task.threads[r->task.threads[0].exits && r->task.n > 1 ? 1 : 0];
}

/* ------------------------------------------------------------------ errors */

/* The step's text is made only now: the plan is built a second time, with descriptions. */
static int fail_at(struct run *r, uint32_t thread, uint32_t step, int err, const char *why)
{
	struct plan again = *r->plan;
	const struct thread_plan *th;
	const struct prog_step *s;
	struct task_plan t;
	int ret;

	again.describe = true;
	if (thread >= r->task.n || plan_task(&again, r->task.task, &t) < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, err, NULL, NULL, "pid %d (%s): restoring it",
			r->task.task->pid, r->task.task->comm);
	th = &t.threads[thread];
	s = step < th->prog.n ? &th->prog.steps[step] : NULL;
	ret = op_fail(r->op,
		err == ENOMEM  ? CKPT_E_SPACE
		: err == EPERM ? CKPT_E_PRIVILEGE
			       : CKPT_E_SYSTEM,
		err, s && s->op == AGENT_SYSCALL ? syscall_name(s->nr) : NULL,
		err == EPERM ? "run as root: `ckpt check` lists the capabilities that are missing"
			     : NULL,
		"pid %d (%s): thread %d: step %u: %s%s%s%s", r->task.task->pid, r->task.task->comm,
		th->tid, step, s ? s->what : "?", s && s->object ? " " : "",
		s && s->object ? s->object : "", why);
	task_plan_done(&t);
	return ret;
}

static int fail_taken(struct run *r, pid_t id)
{
	char who[64];

	snprintf(who, sizeof(who), "pid %d (%s)", r->task.task->pid, r->task.task->comm);
	return taken_fail(r->op, who, id);
}

static int fail_step(struct run *r)
{
	const struct agent_ctl *ctl = r->area.ctl;

	for (size_t i = 1; ctl->failed_errno == EEXIST && ctl->failed_id == 0 && i < r->task.n; i++)
		if (r->task.threads[i].spawn_step == ctl->failed_step)
			return fail_taken(r, r->task.threads[i].tid);
	return fail_at(r, ctl->failed_id, ctl->failed_step, ctl->failed_errno, "");
}

/* The first thread tells how far it came. */
static int fail_dead(struct run *r, const struct wait_status *w)
{
	const struct agent_prog *prog = (const void *)r->area.first_prog;
	char why[64];

	snprintf(why, sizeof(why), ": the new process died there (signal %d, status %d)", w->sig,
		w->exit_code);
	return fail_at(r, 0, prog->at, 0, why);
}

/* ------------------------------------------------------------------ making the task */

/* Filters in the image: what follows their installation has to pass them, until we detach. */
static int trace_thread(struct run *r, pid_t tid)
{
	size_t pos = 0;
	bool suspend = model_next(r->plan->model, &res_seccomp.type, &pos) != NULL;
	int ret = ptrace_seize(tid, TRACE_OPTIONS | (suspend ? PTRACE_O_SUSPEND_SECCOMP : 0));

	if (ret >= 0)
		return 0;
	return op_fail(r->op, CKPT_E_SYSTEM, -ret, "ptrace(PTRACE_SEIZE)",
		suspend && ret == -EPERM
			? "run as root, and not under a seccomp filter: it has to suspend seccomp"
			: NULL,
		"pid %d: thread %d", r->pid, tid);
}

static int make_task(struct run *r)
{
	struct spawn spawn = {.pid = r->task.task->pid,
		.entry = r->area.entry,
		.prog = r->area.first_prog,
		.stack = r->area.first_stack,
		.time = r->time};
	int err = spawn_task(&spawn);

	if (err == -EEXIST)
		return fail_taken(r, spawn.pid);
	if (err < 0)
		return op_fail(r->op, err == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -err,
			"clone3", err == -EPERM ? NEEDS_PID : NULL, "pid %d (%s)", spawn.pid,
			r->task.task->comm);
	r->pid = spawn.pid;
	err = trace_thread(r, r->pid);
	if (err < 0)
		return err;
	r->traced = 1;
	return 0;
}

/* ------------------------------------------------------------------ meeting */

static void futex_wait(uint32_t *word, uint32_t val)
{
	struct timespec ts = {.tv_nsec = LOOK_NS};

	syscall(SYS_futex, word, FUTEX_WAIT, val, &ts, NULL, 0);
}

static uint32_t load(uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Wait until so many arrivals; told of a failed step or a death. */
static int wait_arrived(struct run *r, uint32_t want)
{
	struct agent_ctl *ctl = r->area.ctl;

	for (;;) {
		uint32_t now = load(&ctl->arrived);
		struct wait_status w;

		if (load(&ctl->error) == 1)
			return fail_step(r);
		if (now >= want)
			return 0;
		futex_wait(&ctl->arrived, now);
		if (load(&ctl->arrived) == now && ptrace_wait(r->pid, WNOHANG, &w) == 0 &&
			load(&ctl->error) != 1)
			return fail_dead(r, &w);
	}
}

static void raise_phase(struct run *r, enum plan_barrier phase)
{
	__atomic_store_n(&r->area.ctl->phase, phase, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &r->area.ctl->phase, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static int stage_fill(struct run *r, unsigned workers)
{
	const Ckpt__Pages *pages = model_get(r->plan->model, &res_pages.type, r->task.task->pid);
	_cleanup_close_ int fd = -EBADF;
	char path[32], what[64];
	int ret = wait_arrived(r, 1);

	if (ret == 0)
		ret = fault_point(r->op, "restore.fill");
	if (ret < 0 || !pages)
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/mem", r->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, errno, "open", NULL, "%s", path);
	snprintf(what, sizeof(what), "pid %d (%s): memory", r->pid, r->task.task->comm);
	return fill_fd(r->op, r->img, pages, fd, what, workers, &r->page_bytes);
}

static int stage_threads(struct run *r)
{
	int ret = fault_point(r->op, "restore.threads");

	raise_phase(r, BARRIER_FILLED);
	if (ret == 0)
		ret = wait_arrived(r, 1 + r->task.n);
	for (size_t i = 1; ret == 0 && i < r->task.n; i++) {
		ret = trace_thread(r, r->task.threads[i].tid);
		if (ret < 0)
			return ret;
		r->traced = i + 1;
	}
	raise_phase(r, BARRIER_TRACED);
	if (ret == 0)
		ret = wait_arrived(r, 1 + 2 * r->task.n);
	raise_phase(r, BARRIER_OTHERS);
	if (ret == 0)
		ret = wait_arrived(r, 2 + 2 * r->task.n);
	return ret;
}

/* ------------------------------------------------------------------ the last switch */

static int stop_thread(struct run *r, pid_t tid)
{
	struct wait_status w;
	int ret = ptrace_interrupt(tid);

	if (ret == 0)
		ret = ptrace_wait(tid, 0, &w);
	if (ret < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, -ret, "ptrace(PTRACE_INTERRUPT)", NULL,
			"pid %d: thread %d", r->pid, tid);
	return wait_is_dead(&w) ? fail_dead(r, &w) : 0;
}

static int stop_all(struct run *r)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->task.n; i++)
		ret = stop_thread(r, r->task.threads[i].tid);
	return ret;
}

/* A leader that had exited is brought into exit(2) before the agent's code goes; there it is held. */
static int enter_exit(struct run *r)
{
	uint64_t code = (uint64_t)r->task.task->leader_exit_status;
	struct wait_status w = {0};
	struct arch_regs regs;
	int ret;

	if (!r->task.threads[0].exits)
		return 0;
	ret = arch_regs_get(r->pid, &regs);
	if (ret == 0) {
		arch_regs_call(&regs, r->area.syscall_insn, SYS_exit, (const uint64_t[6]){code});
		ret = arch_regs_set(r->pid, &regs);
	}
	while (ret == 0 && w.kind != WAIT_SYSCALL_STOP) {
		ret = ptrace_syscall(r->pid, 0);
		if (ret == 0)
			ret = ptrace_wait(r->pid, 0, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, &w);
	}
	if (ret < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, -ret, "exit", NULL, "pid %d: its first thread",
			r->pid);
	return 0;
}

/* The leader is gone before any other thread runs. */
static void let_exit(struct run *r)
{
	uint64_t deadline = now_ns() + ZOMBIE_NS;
	struct timespec doze = {.tv_nsec = 20000};

	if (!r->task.threads[0].exits)
		return;
	ptrace_detach(r->pid, 0);
	while (!spawn_is_zombie(r->pid) && now_ns() < deadline)
		nanosleep(&doze, NULL);
}

/* The thread issues munmap with the agent's own instruction, and never returns to it. */
static int unmap_area(struct run *r)
{
	pid_t tid = first_alive(r)->tid;
	struct wait_status w;
	struct arch_regs regs;
	int ret = arch_regs_get(tid, &regs);

	arch_regs_call(&regs, r->area.syscall_insn, SYS_munmap,
		(const uint64_t[6]){(uintptr_t)r->area.at, r->area.size});
	if (ret == 0)
		ret = arch_regs_set(tid, &regs);
	for (int stops = 0; ret == 0 && stops < 2;) {
		ret = ptrace_syscall(tid, 0);
		if (ret == 0)
			ret = ptrace_wait(tid, 0, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, &w);
		stops += w.kind == WAIT_SYSCALL_STOP;
	}
	if (ret == 0)
		ret = arch_regs_get(tid, &regs);
	if (ret == 0 && arch_syscall_ret(&regs) != 0)
		ret = arch_syscall_ret(&regs);
	/* the registers that follow need a stop on the signal path */
	if (ret == 0)
		ret = ptrace_interrupt(tid);
	if (ret == 0)
		ret = ptrace_cont(tid, 0);
	if (ret == 0)
		ret = ptrace_wait(tid, 0, &w);
	if (ret < 0)
		return op_fail(
			r->op, CKPT_E_SYSTEM, -ret, "munmap", NULL, "pid %d: the agent", r->pid);
	return wait_is_dead(&w) ? fail_dead(r, &w) : 0;
}

static int put_registers(struct run *r)
{
	for (size_t i = 0; i < r->task.n; i++) {
		pid_t tid = r->task.threads[i].tid;
		const Ckpt__Regs *m = model_get(r->plan->model, &res_regs.type, tid);
		struct arch_regs general;
		int ret;

		if (r->task.threads[i].exits)
			continue;
		if (!m)
			return op_fail(r->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"thread %d has no registers in the image", tid);
		ret = regs_general(r->op, tid, m, &general);
		if (ret == 0)
			ret = sleep_begin(r->op, &r->sleepers, r->pid, tid, m, &general);
		if (ret == 0)
			ret = regs_put(r->op, tid, m, &general);
		if (ret == 0)
			ret = sud_put(r->op, r->plan->model, tid);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/*
 * A thread takes its own pending signals before the SIGSTOP of its process, and would run their
 * handlers. Once the stop has begun it takes nothing, so one thread begins it with everything else
 * blocked; the others join it when they are detached.
 */
static int stop_group(struct run *r)
{
	pid_t tid = first_alive(r)->tid;
	struct wait_status w = {0};
	uint64_t mask;
	int ret = ptrace_getsigmask(tid, &mask);

	if (ret == 0)
		ret = ptrace_setsigmask(tid, UINT64_MAX);
	if (ret == 0)
		kill(r->pid, SIGSTOP);
	while (ret == 0 && w.kind != WAIT_GROUP_STOP) {
		ret = ptrace_cont(tid, w.kind == WAIT_SIGNAL_STOP ? w.sig : 0);
		if (ret == 0)
			ret = ptrace_wait(tid, 0, &w);
		if (ret == 0 && wait_is_dead(&w))
			return fail_dead(r, &w);
	}
	if (ret == 0)
		ret = ptrace_setsigmask(tid, mask);
	if (ret < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, -ret, "ptrace(PTRACE_CONT)", NULL,
			"pid %d: stopping it", r->pid);
	return 0;
}

static int stage_finish(struct run *r)
{
	int ret = stop_all(r);

	if (ret == 0)
		ret = enter_exit(r);
	if (ret == 0)
		ret = unmap_area(r);
	if (ret == 0)
		ret = put_registers(r);
	if (ret == 0)
		ret = fault_point(r->op, "restore.finish");
	if (ret < 0)
		return ret;
	if (r->front && r->front->on)
		front_root(r->front, r->pid);
	let_exit(r);
	if (r->frozen || r->task.task->stopped)
		ret = stop_group(r);
	if (ret < 0)
		return ret;
	sleepers_done(&r->sleepers);
	for (size_t i = 0; i < r->task.n; i++)
		if (!r->task.threads[i].exits)
			ptrace_detach(r->task.threads[i].tid, 0);
	r->traced = 0;
	return 0;
}

/* ------------------------------------------------------------------ all of it */

/* Threads that we trace have to be reaped by us before their leader can be. */
static void kill_task(struct run *r)
{
	struct wait_status w;

	sleepers_done(&r->sleepers);
	if (r->pid <= 0)
		return;
	kill(r->pid, SIGKILL);
	for (size_t i = r->traced; i-- > 0;) {
		pid_t tid = r->task.threads[i].tid;

		while (ptrace_wait(tid, 0, &w) == 0 && !wait_is_dead(&w))
			;
		if (tid != r->pid)
			ptrace_reap(tid);
	}
	waitpid(r->pid, NULL, __WALL);
	r->pid = 0;
}

int run_task(struct run *r)
{
	struct trace_span span = trace_begin(r->op->trace, "task", r->task.task->pid, 0);
	unsigned workers = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
	int ret = fault_point(r->op, "restore.fork");

	if (ret == 0)
		ret = make_task(r);
	if (ret == 0)
		ret = fault_point(r->op, "restore.map");
	if (ret == 0)
		ret = stage_fill(r, workers);
	if (ret == 0)
		ret = stage_threads(r);
	if (ret == 0)
		ret = stage_finish(r);
	if (ret < 0)
		kill_task(r);
	trace_end(&span);
	return ret;
}
