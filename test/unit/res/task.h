/*
 * task.h - tasks of a tree that is made by hand.
 */
#ifndef CKPT_TEST_RES_TASK_H
#define CKPT_TEST_RES_TASK_H

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proto/task.pb-c.h"
#include "res/task/task.h"

enum { TASK_THREADS_MAX = 4 };

static inline void task_thread(Ckpt__Task *t, pid_t tid)
{
	cr_assert_lt(t->n_tids, (size_t)TASK_THREADS_MAX);
	t->tids[t->n_tids++] = tid;
}

/* A record of it, with one thread; the model's own. */
static inline Ckpt__Task *task_make(struct model *m, pid_t pid, pid_t ppid, pid_t pgid, pid_t sid)
{
	Ckpt__Task *t = calloc(1, sizeof(*t));

	ckpt__task__init(t);
	t->pid = pid;
	t->ppid = ppid;
	t->pgid = pgid;
	t->sid = sid;
	t->exit_signal = SIGCHLD;
	t->comm = strdup("x");
	t->tids = calloc(TASK_THREADS_MAX, sizeof(*t->tids));
	task_thread(t, pid);
	cr_assert_eq(model_add_take(m, &res_task.type, (uint64_t)pid, &t->base), 0);
	return t;
}

#endif
