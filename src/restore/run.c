/*
 * run.c - see run.h.
 *
 * Order of events, C the coordinator, T the new tasks' threads:
 *   C  clone3 with set_tid; the child becomes the agent at once; C seizes it with EXITKILL
 *   T  first threads: make their children; memory map; arrive
 *   C  seizes and fills each that has arrived, and opens its gate
 *   T  first threads: make the children with which they share pages; those that have held contents for a
 *      child (lend.h): are filled once more, and so on; of several tasks: BARRIER_BORN
 *   T  process groups (BARRIER_JOINED where leaders are dead), files, what threads share; spawn the others;
 *      each: its own state
 *   C  seizes all; BARRIER_TRACED
 *   T  what takes rights away (first what others take of them; BARRIER_HANDED); BARRIER_OTHERS; all park
 *   C  the last switch (finish.c)
 * No instruction of the program runs before the last. If C dies, EXITKILL ends every thread; who is not
 * traced yet dies with its maker.
 */
#include "restore/run.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>

#include "core/fault.h"
#include "core/trace.h"
#include "kernel/ptrace.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "restore/fillers.h"
#include "restore/spawn.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/vec.h"

#define NEEDS_PID "run as root: the same pid takes CAP_CHECKPOINT_RESTORE, see `ckpt check`"

#define TRACE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)
#define LOOK_NS       20000000L /* how often a waiting coordinator looks whether a task died */
#define ZOMBIE_NS     2000000000ULL
#define YIELDS        100 /* a stop takes that long, where the machine is not busy */
#define DOZE_NS       20000L

/* ------------------------------------------------------------------ making the root */

/* Filters in the image: what follows their installation has to pass them, until we detach. */
static bool has_filters(const struct run *r)
{
	size_t pos = 0;

	return model_next(r->plan->model, &res_seccomp.type, &pos) != NULL;
}

int run_seize(struct run *r, struct run_task *t, size_t thread)
{
	int ret = ptrace_seize(t->plan->threads[thread].tid,
		TRACE_OPTIONS | (has_filters(r) ? PTRACE_O_SUSPEND_SECCOMP : 0));

	if (ret == 0)
		t->traced = thread + 1;
	return ret;
}

int run_trace(struct run *r, struct run_task *t, size_t thread)
{
	int ret = run_seize(r, t, thread);

	if (ret < 0)
		return op_fail(r->op, CKPT_E_SYSTEM, -ret, "ptrace(PTRACE_SEIZE)",
			has_filters(r) && ret == -EPERM
				? "run as root, and not under a seccomp filter: it "
				  "has to suspend seccomp"
				: NULL,
			"pid %d: thread %d", t->pid, t->plan->threads[thread].tid);
	return 0;
}

/* What had the numbers may have died a moment ago, with a parent that is slow to reap it. */
static void wait_for_numbers(struct run *r)
{
	uint64_t deadline = now_ns() + ZOMBIE_NS;
	struct timespec doze = {.tv_nsec = 1000000};

	for (size_t i = 1; i < r->tree.n; i++) {
		pid_t pid = r->tree.tree.v[i].pid;

		while (pid && kill(pid, 0) == 0 && spawn_is_zombie(pid) && now_ns() < deadline)
			nanosleep(&doze, NULL);
	}
}

static int make_root(struct run *r)
{
	const struct task_plan *root = &r->tree.tasks[0];
	struct spawn spawn = {.pid = root->task->pid,
		.entry = r->area.entry,
		.prog = r->area.progs[root->threads[0].id],
		.stack = r->area.first_stack,
		.time = r->time,
		.cgroup = cgroup_root(r->plan, task_plan_alive(root)->tid),
		.sibling = r->ns};
	char name[TASK_NAME_LEN];
	int err;

	wait_for_numbers(r);
	if (r->become)
		return become_root(r, &spawn);
	err = spawn_task(&spawn);
	if (err == -EEXIST)
		return fail_taken(r, root, spawn.pid);
	if (err < 0)
		return op_fail(r->op, err == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -err,
			"clone3", err == -EPERM ? NEEDS_PID : NULL, "%s",
			task_plan_name(root, name));
	r->tasks[0].pid = spawn.pid;
	return run_trace(r, &r->tasks[0], 0);
}

/* ------------------------------------------------------------------ stops */

/*
 * The death of a first thread is told when all others are reaped, and those that we trace only we reap. Who
 * kills the process kills them all. Return: whether it has been killed, as another thread tells.
 */
static bool others_dead(const struct run_task *t, struct wait_status *ret)
{
	return t->traced > 1 && ptrace_wait(t->plan->threads[1].tid, WNOHANG, ret) == 0 &&
	       wait_is_dead(ret);
}

int run_wait(const struct run_task *t, pid_t tid, struct wait_status *ret)
{
	struct timespec doze = {.tv_nsec = DOZE_NS};
	struct wait_status w;
	int r;

	if (tid != t->pid || t->traced <= 1)
		return ptrace_wait(tid, 0, ret);
	for (unsigned tries = 0;; tries++) {
		r = ptrace_wait(tid, WNOHANG, ret);
		if (r != -EAGAIN)
			return r;
		if (others_dead(t, &w)) {
			*ret = w;
			return 0;
		}
		if (tries < YIELDS)
			sched_yield();
		else
			nanosleep(&doze, NULL);
	}
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

/* Whether a process that can't be missed is gone. Return: 0; negative after op_fail(). */
static int look_for_dead(struct run *r)
{
	for (size_t i = 0; i < r->tree.n; i++) {
		struct wait_status w;

		if (!r->tasks[i].traced ||
			(ptrace_wait(r->tasks[i].pid, WNOHANG, &w) < 0 &&
				!others_dead(&r->tasks[i], &w)) ||
			load(&r->area.ctl->error) == 1)
			continue;
		if (wait_is_dead(&w))
			return fail_dead(r, &r->tasks[i], &w);
		/* one that somebody stops goes on here; when we let go of it, it stops */
		if (w.kind == WAIT_SIGNAL_STOP || w.kind == WAIT_GROUP_STOP ||
			w.kind == WAIT_EVENT_STOP)
			ptrace_cont(r->tasks[i].pid, w.kind == WAIT_SIGNAL_STOP ? w.sig : 0);
	}
	return 0;
}

/*
 * Wait for something to arrive, until so many have. Told of a failed step or a death. Return: 1 there are
 * so many; 0 there is at least one more than before, or some time has passed; negative after op_fail().
 */
static int wait_news(struct run *r, uint32_t all, uint32_t wanted)
{
	struct agent_ctl *ctl = r->area.ctl;
	uint32_t now;

	__atomic_store_n(&ctl->all, all, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ctl->wanted, wanted, __ATOMIC_SEQ_CST);
	if (load(&ctl->error) == 1)
		return fail_step(r);
	now = load(&ctl->arrived);
	if (now >= all)
		return 1;
	if (now >= wanted)
		return 0;
	futex_wait(&ctl->arrived, now);
	return load(&ctl->arrived) == now ? look_for_dead(r) : 0;
}

/* Wait until so many more have arrived. */
static int wait_arrived(struct run *r, size_t more)
{
	int ret;

	r->arrivals += (uint32_t)more;
	while ((ret = wait_news(r, r->arrivals, r->arrivals)) == 0)
		;
	return ret < 0 ? ret : 0;
}

static void raise_phase(struct run *r, uint32_t phase)
{
	__atomic_store_n(&r->area.ctl->phase, phase, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &r->area.ctl->phase, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* ------------------------------------------------------------------ the others */

/* What a maker has made, it says in its program. */
static void find_made(struct run *r)
{
	for (size_t i = 1; i < r->tree.n; i++) {
		const struct thread_plan *t = &r->tree.tasks[i].threads[0];
		const struct agent_step *steps =
			(const void *)area_prog(&r->area, t->maker->id)->steps;

		if (steps[t->spawn_step].ret > 0)
			r->tasks[i].pid = (pid_t)steps[t->spawn_step].ret;
	}
}

/* ------------------------------------------------------------------ memory */

void run_open_gate(struct run *r, const struct run_task *t, uint32_t times)
{
	struct agent_prog *prog = (void *)r->area.progs[t->plan->threads[0].id];

	__atomic_store_n(&prog->gate, times, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &prog->gate, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Whether it waits for its memory to be filled, for the first time or once more. */
static bool wants_fill(const struct run *r, const struct run_task *t)
{
	const struct agent_prog *prog = area_prog(&r->area, t->plan->threads[0].id);

	/* with the results of the steps before */
	return t->filled < t->plan->lend->n &&
	       __atomic_load_n(&prog->at, __ATOMIC_ACQUIRE) >= t->plan->fill_steps[t->filled];
}

/* A task that waits to be filled for the first time is ours from now on. */
static int take_over(struct run *r, struct run_task *t)
{
	int ret = 0;

	t->pid = t->plan->birth->pid; /* its maker may not have said so yet */
	if (t != &r->tasks[0])
		ret = run_trace(r, t, 0);
	if (ret == 0)
		ret = cgroup_place(r->plan, t->pid, task_plan_alive(t->plan)->tid);
	return ret;
}

/*
 * Those whose memory is mapped get their contents, and may make the children that are to share them.
 * @wait: tasks that are to be filled at some time; those that need no more are taken out
 */
static int fill_ready(struct run *r, struct fillers *f, struct run_task **wait, size_t *n)
{
	size_t left = 0;
	int ret = 0;

	for (size_t i = 0; i < *n; i++) {
		struct run_task *t = wait[i];

		if (ret == 0 && wants_fill(r, t)) {
			if (t->filled++ == 0)
				ret = take_over(r, t);
			if (ret == 0)
				fillers_add(f, t);
		}
		if (t->filled < t->plan->lend->n)
			wait[left++] = t;
	}
	*n = left;
	return ret < 0 || !fillers_failed(f) ? ret : -EIO;
}

static int fill_all(struct run *r, struct fillers *f, uint32_t all)
{
	struct run_task **wait = calloc(r->tree.n, sizeof(struct run_task *));
	size_t n = 0;
	int ret = 0;

	if (!wait)
		return op_fail(r->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks");
	for (size_t i = 0; i < r->tree.n; i++)
		if (task_plan_lives(r->tasks[i].plan))
			wait[n++] = &r->tasks[i];
	for (bool done = false; ret == 0 && !done;) {
		ret = wait_news(r, all, load(&r->area.ctl->arrived) + 1);
		done = ret == 1;
		if (ret >= 0)
			ret = fill_ready(r, f, wait, &n);
	}
	free(wait);
	return ret;
}

/* The tree grows; everyone arrives to be filled, and, of several, once more when all are to be there. */
static int stage_grow(struct run *r)
{
	uint32_t all = (uint32_t)(r->tree.n_fills + (r->tree.n > 1 ? r->tree.tree.n_standing : 0));
	int ret = fault_point(r->op, "restore.fill");
	struct fillers *f = NULL;

	if (ret == 0)
		ret = fillers_new(r, &f);
	if (ret == 0)
		ret = fill_all(r, f, all);
	fillers_end(f);
	find_made(r);
	r->arrivals = all;
	if (ret == 0)
		ret = fault_point(r->op, "restore.tree");
	raise_phase(r, BARRIER_BORN);
	if (ret == 0 && r->tree.tree.n_leaders) {
		ret = wait_arrived(r, r->tree.tree.n_standing);
		raise_phase(r, BARRIER_JOINED);
	}
	return ret;
}

/* ------------------------------------------------------------------ threads */

static int stage_threads(struct run *r)
{
	int ret = fault_point(r->op, "restore.threads");

	if (ret == 0)
		ret = wait_arrived(r, r->tree.n_threads);
	for (size_t i = 0; ret == 0 && i < r->tree.n; i++)
		for (size_t k = 1; ret == 0 && k < r->tasks[i].plan->n; k++)
			ret = run_trace(r, &r->tasks[i], k);
	raise_phase(r, BARRIER_TRACED);
	if (ret == 0)
		ret = wait_arrived(r, r->tree.n_threads);
	if (r->tree.handed) {
		raise_phase(r, BARRIER_HANDED);
		if (ret == 0)
			ret = wait_arrived(r, r->tree.tree.n_tasks);
	}
	if (r->tree.others) {
		raise_phase(r, BARRIER_OTHERS);
		if (ret == 0)
			ret = wait_arrived(r, r->tree.tree.n_tasks);
	}
	return ret;
}

/* Threads that are in other control groups than the first of their process. */
static int stage_cgroups(struct run *r)
{
	int ret = 0;

	for (size_t i = 0; i < r->tree.n; i++) {
		const struct run_task *t = &r->tasks[i];

		for (size_t k = 0; task_plan_lives(t->plan) && k < t->plan->n && ret == 0; k++)
			ret = cgroup_place_thread(r->plan, t->pid, task_plan_alive(t->plan)->tid,
				t->plan->threads[k].tid);
	}
	return ret;
}

/* ------------------------------------------------------------------ all of it */

/* Threads that we trace have to be reaped by us before their leader can be. */
static void reap(struct run_task *t)
{
	struct wait_status w;

	for (; t->traced > 0; t->traced--) {
		pid_t tid = t->plan->threads[t->traced - 1].tid;

		while (ptrace_wait(tid, 0, &w) == 0 && !wait_is_dead(&w))
			;
		if (tid != t->pid)
			ptrace_reap(tid);
	}
	/* first as its tracer, then in place of its parent, who is dead */
	while (t->pid > 0 && waitpid(t->pid, NULL, __WALL) > 0)
		;
}

/*
 * Who is traced is killed; the others find out and end. Their numbers are not signalled, as they may be
 * somebody else's by now. Twice, as the end of one may hand another over to us.
 */
static void kill_tree(struct run *r)
{
	bool held;

	if (r->tasks[0].pid <= 0)
		return;
	if (r->become)
		become_failed(r);
	held = r->become && r->become->held;
	raise_phase(r, AGENT_PHASE_ABORT);
	for (size_t i = 0; i < r->tree.n; i++) {
		sleepers_done(&r->tasks[i].sleepers);
		if (r->tasks[i].traced && !(held && i == 0))
			kill(r->tasks[i].pid, SIGKILL);
		run_open_gate(r, &r->tasks[i], UINT32_MAX);
	}
	for (int pass = 0; pass < 2; pass++) {
		find_made(r);
		for (size_t i = held ? 1 : 0; i < r->tree.n; i++)
			reap(&r->tasks[i]);
	}
}

/* Should we fail, all that was made has to come to us. Return: what to put back. */
static int adopt(const struct run *r)
{
	int was = 0;

	if (r->adopts) {
		prctl(PR_GET_CHILD_SUBREAPER, &was);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	}
	return was;
}

static const struct {
	const char *name;
	int (*run)(struct run *r);
} stages[] = {
	{"grow", stage_grow},
	{"threads", stage_threads},
	{"cgroups", stage_cgroups},
	{"finish", run_finish},
};

int run_tree(struct run *r)
{
	struct trace_span span = trace_begin(r->op->trace, "tree", r->tree.tree.v[0].pid, 0);
	int ret = fault_point(r->op, "restore.fork"), was;

	/* who becomes the root is not to be, and who coordinates then is not above it */
	r->adopts = r->tree.n > 1 && !r->become;
	r->workers = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
	r->tasks = calloc(r->tree.n, sizeof(*r->tasks));
	if (!r->tasks)
		return op_fail(r->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the tasks");
	for (size_t i = 0; i < r->tree.n; i++)
		r->tasks[i].plan = &r->tree.tasks[i];
	was = adopt(r);
	if (ret == 0)
		ret = make_root(r);
	if (ret == 0)
		ret = fault_point(r->op, "restore.map");
	for (size_t i = 0; i < ARRAY_SIZE(stages) && ret == 0; i++) {
		struct trace_span part = trace_begin(r->op->trace, stages[i].name, 0, 0);

		ret = stages[i].run(r);
		trace_end(&part);
	}
	if (ret < 0)
		kill_tree(r);
	if (r->adopts)
		prctl(PR_SET_CHILD_SUBREAPER, was);
	free(r->tasks);
	trace_end(&span);
	return ret;
}
