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
#include "restore/lend.h"
#include "restore/tree.h"

/* Barriers: the coordinator raises ctl->phase to let all threads pass. */
enum plan_barrier {
	BARRIER_BORN = 1,   /* of several tasks: all are there, and have their memory */
	BARRIER_JOINED = 2, /* where there are stand-ins for leaders: groups have their members */
	BARRIER_TRACED = 3, /* every thread is traced */
	BARRIER_HANDED = 4, /* where one task opens what others have too: it is open */
	BARRIER_OTHERS =
		5 /* where there are any: all threads but the first are at the end of their programs */
};

struct thread_plan {
	pid_t tid;   /* 0: any */
	bool exits;  /* a leader that has exited before its threads */
	uint32_t id; /* counted over all threads of the tree */
	struct prog prog;
	struct thread_plan *maker; /* whose program spawns it; NULL: the coordinator does */
	size_t spawn_step;         /* in that program, */
	uint64_t spawn_args;       /* and the offset of its clone_args in that program's data */
};

struct task_plan {
	const struct birth *birth;
	const Ckpt__Task *task;      /* NULL of a stand-in */
	struct thread_plan *threads; /* [0] is the one that clone3 makes first: the leader */
	size_t n;
	const struct lend *lend; /* what its memory holds */
	size_t uffd_time;        /* of the times that it is filled, that with a userfaultfd, */
	size_t uffd_step;        /* of the first thread, see mm_uffd_plan() */
	size_t *fill_steps; /* of the first thread: at each it waits for its memory to be filled */
};

struct tree_plan {
	struct tree tree;
	struct lend *lends;      /* one per tree.v */
	struct task_plan *tasks; /* likewise */
	size_t n;
	size_t n_fills;   /* of all tasks of the image: how often they are filled */
	size_t n_threads; /* of tasks of the image, */
	bool handed;      /* there is a BARRIER_HANDED */
	bool others;      /* there is a BARRIER_OTHERS, as some threads share their memory */
	size_t n_plans;   /* and with those of stand-ins */
};

/**
 * plan_files_new() - the open file descriptions of a model, not yet opened
 * @ret: ascending by id; caller frees. 0; -ENOMEM
 */
int plan_files_new(const struct model *m, struct plan_file **ret, size_t *ret_n);

/**
 * plan_tree() - plan all tasks of a model
 * @p: with files, req and model
 * @ret: caller releases with tree_plan_done()
 * Return: 0; negative after op_fail().
 */
int plan_tree(struct plan *p, struct tree_plan *ret);
void tree_plan_done(struct tree_plan *t);

/** tree_plan_thread() - by its id; NULL where there is none. @ret_task: whose it is, may be NULL */
const struct thread_plan *tree_plan_thread(
	const struct tree_plan *t, uint32_t id, const struct task_plan **ret_task);

/** task_plan_name() - "pid 12 (nginx)", for messages */
#define TASK_NAME_LEN 64
const char *task_plan_name(const struct task_plan *t, char buf[TASK_NAME_LEN]);

/** task_plan_alive() - its first thread that lives on, as a leader may have exited */
static inline struct thread_plan *task_plan_alive(const struct task_plan *t)
{
	return &t->threads[t->threads[0].exits && t->n > 1 ? 1 : 0];
}

/** task_plan_fill() - what is filled at one time, from 0 on. NULL: all that it has */
static inline const struct page_map *task_plan_fill(const struct task_plan *t, size_t time)
{
	return t->lend->whole ? NULL : &t->lend->v[time].fill;
}

/** task_plan_lives() - whether it is a task of the image that runs when all is done */
static inline bool task_plan_lives(const struct task_plan *t)
{
	return t->birth->kind == BIRTH_TASK;
}

/** plan_print() - step by step with what each step is for. @p: for what is no step. Return: 0; -EIO */
int plan_print(struct plan *p, const struct tree_plan *t, FILE *out);

/** plan_print_json() - the same as one JSON object. Return: 0; -EIO; -ENOMEM */
int plan_print_json(struct plan *p, const struct tree_plan *t, FILE *out);

#endif
