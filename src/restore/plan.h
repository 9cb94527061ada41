/*
 * plan.h - the planner: model -> one program per thread.
 *
 * It is a function over plain data: it needs no privilege and does nothing, so `ckpt restore --plan`
 * can print it and tests can compare it.
 */
#ifndef CKPT_RESTORE_PLAN_H
#define CKPT_RESTORE_PLAN_H

#include <stdio.h>

#include "res/res.h"
#include "restore/tree_plan.h"

/* Barriers: the coordinator raises ctl->phase to let all threads pass. */
enum plan_barrier {
	BARRIER_BORN = 1,   /* of several tasks: all are there, and have their memory */
	BARRIER_JOINED = 2, /* where there are stand-ins for leaders: groups have their members */
	BARRIER_TRACED = 3, /* every thread is traced */
	BARRIER_HANDED = 4, /* where one task opens what others have too: it is open */
	BARRIER_OTHERS =
		5 /* where there are any: all threads but the first are at the end of their programs */
};

/**
 * plan_tree() - plan all tasks of a model
 * @p: with files, req and model
 * @ret: caller releases with tree_plan_done()
 * Return: 0; negative after op_fail().
 */
int plan_tree(struct plan *p, struct tree_plan *ret);

/** plan_print() - step by step with what each step is for. @p: for what is no step. Return: 0; -EIO */
int plan_print(struct plan *p, const struct tree_plan *t, FILE *out);

/** plan_print_json() - the same as one JSON object. Return: 0; -EIO; -ENOMEM */
int plan_print_json(struct plan *p, const struct tree_plan *t, FILE *out);

#endif
