/*
 * plan.h - the planner: model -> one program per thread.
 *
 * It is a function over plain data: it needs no privilege and does nothing, so `ckpt restore --plan`
 * can print it and tests can compare it.
 */
#ifndef CKPT_RESTORE_PLAN_H
#define CKPT_RESTORE_PLAN_H

#include <stdio.h>

#include "proto/task.pb-c.h"
#include "res/res.h"

/* Barriers: the coordinator raises ctl->phase to let all threads pass. */
enum plan_barrier {
	BARRIER_FILLED = 1, /* memory has its contents */
	BARRIER_TRACED = 2, /* every thread is traced */
	BARRIER_OTHERS = 3  /* all threads but the first are at the end of their programs */
};

struct thread_plan {
	pid_t tid;
	bool exits; /* a leader that has exited before its threads */
	struct prog prog;
	/* set for all but the first: where the first thread's program spawns it */
	size_t spawn_step;
	uint64_t spawn_args; /* offset of its clone_args in the first program's data */
};

struct task_plan {
	const Ckpt__Task *task;
	struct thread_plan *threads; /* [0] is the one that clone3 makes first: the leader */
	size_t n;
};

/**
 * plan_files_new() - the open file descriptions of a model, not yet opened
 * @ret: ascending by id; caller frees. 0; -ENOMEM
 */
int plan_files_new(const struct model *m, struct plan_file **ret, size_t *ret_n);

/**
 * plan_task() - plan a task
 * @p: with files, req and model
 * @ret: caller releases with task_plan_done()
 * Return: 0; negative after op_fail().
 */
int plan_task(struct plan *p, const Ckpt__Task *task, struct task_plan *ret);
void task_plan_done(struct task_plan *t);

/** plan_print() - step by step with what each step is for. Return: 0; -EIO */
int plan_print(const struct task_plan *t, FILE *out);

/** plan_print_json() - the same as one JSON object. Return: 0; -EIO; -ENOMEM */
int plan_print_json(const struct task_plan *t, FILE *out);

#endif
