/*
 * plan.c - see plan.h.
 */
#include "restore/plan.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <linux/sched.h>

#include "agent/abi.h"
#include "res/registry.h"
#include "res/task/task.h"
#include "util/vec.h"

#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static int by_id(const void *a, const void *b)
{
	const struct plan_file *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int plan_files_new(const struct model *m, struct plan_file **ret, size_t *ret_n)
{
	struct plan_file *v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct res *res = registry_find(m->recs[i].type);

		if (!res || !res->file)
			continue;
		if (vec_reserve(&v, &cap, n + 1, sizeof(*v)) < 0) {
			free(v);
			return -ENOMEM;
		}
		v[n++] = (struct plan_file){
			.id = m->recs[i].owner, .fd = -1, .home = -1, .rec = &m->recs[i]};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_id);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* One phase of the resources of one owner. */
static void plan_scope(struct plan *p, enum model_scope scope, uint64_t owner,
	enum plan_phase phase, struct prog *prog)
{
	const struct res *const *reg = registry();

	for (size_t i = 0; reg[i]; i++) {
		struct model_rec rec = {.type = &reg[i]->type, .owner = owner};

		if (reg[i]->type.scope != scope || !reg[i]->plan)
			continue;
		rec.msg = model_get(p->model, &reg[i]->type, owner);
		if (rec.msg)
			reg[i]->plan(p, phase, &rec, prog);
	}
}

static void add_op(struct prog *prog, enum agent_op op, uint64_t arg, const char *what)
{
	prog_add(prog, &(struct prog_step){.op = op, .what = what, .args = {IMM(arg)}});
}

static void plan_spawn(struct task_plan *t, size_t i)
{
	struct prog *prog = &t->threads[0].prog;
	struct thread_plan *child = &t->threads[i];
	struct clone_args args = {.flags = THREAD_FLAGS, .set_tid_size = 1};
	uint64_t tid = prog_data(prog, &child->tid, sizeof(child->tid));

	child->spawn_args = prog_data(prog, &args, sizeof(args));
	prog_pointer(prog, child->spawn_args + offsetof(struct clone_args, set_tid), tid);
	child->spawn_step = prog_add(
		prog, &(struct prog_step){.op = AGENT_SPAWN,
			      .expect = AGENT_EXPECT_EQ,
			      .want = child->tid,
			      .nr = SYS_clone3,
			      .what = "task: make a thread",
			      .args = {DATA(child->spawn_args), IMM(sizeof(args)), IMM(i)}});
	prog_object(prog, "thread %d", child->tid);
}

/* What every thread does once all exist. */
static void plan_own(struct plan *p, struct thread_plan *t)
{
	if (!t->exits)
		plan_scope(p, SCOPE_THREAD, t->tid, PLAN_THREAD, &t->prog);
	add_op(&t->prog, AGENT_ARRIVE, 0, "wait: until all threads stand");
	add_op(&t->prog, AGENT_WAIT, BARRIER_TRACED, "wait: until all threads stand");
}

static void plan_late(struct plan *p, struct thread_plan *t)
{
	if (!t->exits)
		plan_scope(p, SCOPE_THREAD, t->tid, PLAN_LATE, &t->prog);
}

static void plan_park(struct thread_plan *t)
{
	add_op(&t->prog, AGENT_PARK, 0,
		t->exits ? "wait: to exit, as it had" : "wait: to be given its registers");
}

static void plan_first(struct plan *p, struct task_plan *t)
{
	struct thread_plan *first = &t->threads[0];
	uint64_t pid = t->task->pid;

	plan_scope(p, SCOPE_TASK, pid, PLAN_EARLY, &first->prog);
	add_op(&first->prog, AGENT_ARRIVE, 0, "wait: until memory is filled");
	add_op(&first->prog, AGENT_WAIT, BARRIER_FILLED, "wait: until memory is filled");
	plan_scope(p, SCOPE_TASK, pid, PLAN_PROCESS, &first->prog);
	for (size_t i = 1; i < t->n; i++)
		plan_spawn(t, i);
	plan_own(p, first);
	plan_scope(p, SCOPE_TASK, pid, PLAN_LATE, &first->prog);
	plan_late(p, first);
	add_op(&first->prog, AGENT_ARRIVE, 0, "wait: until the other threads are done");
	add_op(&first->prog, AGENT_WAIT, BARRIER_OTHERS, "wait: until the other threads are done");
	plan_scope(p, SCOPE_TASK, pid, PLAN_LAST, &first->prog);
	plan_park(first);
}

static int plan_threads(struct plan *p, struct task_plan *t)
{
	const Ckpt__Task *task = t->task;
	size_t n = 1;

	t->threads = calloc(task->n_tids + 1, sizeof(*t->threads));
	if (!t->threads)
		return -ENOMEM;
	t->threads[0] = (struct thread_plan){.tid = task->pid, .exits = task->leader_exited};
	for (size_t i = 0; i < task->n_tids; i++)
		if (task->tids[i] != task->pid)
			t->threads[n++].tid = task->tids[i];
	t->n = n;
	for (size_t i = 0; i < n; i++)
		t->threads[i].prog.describe = p->describe;
	plan_first(p, t);
	for (size_t i = 1; i < n; i++) {
		plan_own(p, &t->threads[i]);
		plan_late(p, &t->threads[i]);
		plan_park(&t->threads[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (t->threads[i].prog.err)
			return t->threads[i].prog.err;
	return 0;
}

int plan_task(struct plan *p, const Ckpt__Task *task, struct task_plan *ret)
{
	int r;

	*ret = (struct task_plan){.task = task};
	r = plan_threads(p, ret);
	if (r < 0) {
		task_plan_done(ret);
		return op_fail(p->op, CKPT_E_SPACE, -r, NULL, NULL, "planning pid %d", task->pid);
	}
	return 0;
}

void task_plan_done(struct task_plan *t)
{
	for (size_t i = 0; t->threads && i < t->n; i++)
		prog_done(&t->threads[i].prog);
	free(t->threads);
	*t = (struct task_plan){0};
}
