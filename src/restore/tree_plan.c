/*
 * tree_plan.c - see tree_plan.h.
 */
#include "restore/tree_plan.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

/* The first thread is the one whose number is the task's. */
static int threads_new(struct tree_plan *tree, struct task_plan *t, bool describe)
{
	const Ckpt__Task *task = task_plan_lives(t) ? t->task : NULL;

	t->threads = calloc((task ? task->n_tids : 0) + 1, sizeof(*t->threads));
	if (!t->threads)
		return -ENOMEM;
	t->threads[t->n++] =
		(struct thread_plan){.tid = t->birth->pid, .exits = task && task->leader_exited};
	for (size_t i = 0; task && i < task->n_tids; i++)
		if (task->tids[i] != task->pid)
			t->threads[t->n++].tid = task->tids[i];
	for (size_t i = 0; i < t->n; i++) {
		t->threads[i].id = (uint32_t)tree->n_plans++;
		t->threads[i].prog.describe = describe;
	}
	tree->n_threads += task ? t->n : 0;
	return 0;
}

static int tasks_new(struct tree_plan *t, bool describe)
{
	int r = 0;

	t->tasks = calloc(t->tree.n, sizeof(*t->tasks));
	if (!t->tasks)
		return -ENOMEM;
	for (; t->n < t->tree.n; t->n++)
		t->tasks[t->n] = (struct task_plan){.birth = &t->tree.v[t->n],
			.task = t->tree.v[t->n].task,
			.lend = &t->lends[t->n]};
	for (size_t i = 0; i < t->n && r == 0; i++) {
		t->tasks[i].fill_steps = calloc(t->lends[i].n, sizeof(*t->tasks[i].fill_steps));
		if (!t->tasks[i].fill_steps)
			return -ENOMEM;
		if (task_plan_lives(&t->tasks[i]))
			t->n_fills += t->lends[i].n;
		r = threads_new(t, &t->tasks[i], describe);
		t->others |= t->tasks[i].n > 1 || t->tree.v[i].flags & CLONE_VM;
	}
	return r;
}

int tree_plan_new(struct ckpt_op *op, const struct model *m, bool describe, struct tree_plan *ret)
{
	int r;

	*ret = (struct tree_plan){0};
	r = tree_new(op, m, &ret->tree);
	if (r < 0)
		return r;
	r = lend_new(op, m, &ret->tree, &ret->lends);
	if (r == 0 && tasks_new(ret, describe) < 0)
		r = op_fail(op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "planning pid %d",
			ret->tree.v[0].pid);
	if (r < 0)
		tree_plan_done(ret);
	return r;
}

void tree_plan_done(struct tree_plan *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->tasks[i].n; k++)
			prog_done(&t->tasks[i].threads[k].prog);
		free(t->tasks[i].threads);
		free(t->tasks[i].fill_steps);
	}
	free(t->tasks);
	lend_done(t->lends, t->tree.n);
	tree_done(&t->tree);
	*t = (struct tree_plan){0};
}

const struct thread_plan *tree_plan_thread(
	const struct tree_plan *t, uint32_t id, const struct task_plan **ret_task)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct task_plan *task = &t->tasks[i];

		if (!task->n || id < task->threads[0].id || id - task->threads[0].id >= task->n)
			continue;
		if (ret_task)
			*ret_task = task;
		return &task->threads[id - task->threads[0].id];
	}
	return NULL;
}

const char *task_plan_name(const struct task_plan *t, char buf[TASK_NAME_LEN])
{
	if (t->task)
		snprintf(buf, TASK_NAME_LEN, "pid %d (%s)", t->task->pid, t->task->comm);
	else if (t->birth->pid)
		snprintf(buf, TASK_NAME_LEN, "pid %d (for a dead leader)", t->birth->pid);
	else
		snprintf(buf, TASK_NAME_LEN, "the maker of an orphan");
	return buf;
}
