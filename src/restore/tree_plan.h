/*
 * tree_plan.h - all programs of a restore: whose they are, and what their memory is filled with.
 *
 * The planner (plan.h) writes the programs; the area is laid out by them, and the coordinator watches them run.
 */
#ifndef CKPT_RESTORE_TREE_PLAN_H
#define CKPT_RESTORE_TREE_PLAN_H

#include "inject/prog.h"
#include "proto/task.pb-c.h"
#include "restore/lend.h"
#include "restore/tree.h"

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
	size_t n_plans;   /* and with those of stand-ins */
	bool handed;      /* there is a BARRIER_HANDED */
	bool others;      /* there is a BARRIER_OTHERS, as some threads share their memory */
};

/**
 * tree_plan_new() - all tasks and threads of a model, and who makes whom; their programs are empty yet
 * @describe: the programs are to say what each step is about
 * @ret: caller releases with tree_plan_done()
 * Return: 0; negative after op_fail(), and there is nothing to release.
 */
int tree_plan_new(struct ckpt_op *op, const struct model *m, bool describe, struct tree_plan *ret);
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

#endif
