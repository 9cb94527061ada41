/*
 * run.h - the executor: the tasks of a tree are made, run their plans, and are given their registers.
 */
#ifndef CKPT_RESTORE_RUN_H
#define CKPT_RESTORE_RUN_H

#include "image/image.h"
#include "kernel/timens.h"
#include "restore/area.h"
#include "restore/become.h"
#include "restore/front.h"
#include "restore/plan.h"
#include "restore/sleep.h"

/* One process of tree.tasks, while it is made. */
struct run_task {
	const struct task_plan *plan;
	pid_t pid;     /* 0: it is not known to exist */
	size_t traced; /* of plan->threads, the first so many are traced by us */
	size_t filled; /* so often is or was its memory filled */
	bool stops;    /* it is left stopped, ... */
	bool told;     /* ... which its parent has been told before, or is not to be told */
	bool waits;    /* it waits for its children's stops, so that it is not told again */
	bool late;     /* it keeps the agent until these have stopped */
	struct sleepers sleepers;
};

struct pidns;

struct run {
	struct ckpt_op *op;
	const struct image *img;
	struct plan *plan;
	struct tree_plan tree;
	struct run_task *tasks; /* one per tree.tasks; [0] is the root */
	unsigned workers;       /* that may fill the memory of one task */
	struct area area;
	uint32_t arrivals;                 /* waited for so far, over all barriers */
	const struct timens_offsets *time; /* of a time namespace for them, or NULL */
	struct front *front;               /* told of the root before it runs */
	const struct hooks *hooks;         /* called when all are there */
	struct pidns *ns;      /* that they are made in, and that is told instead; or NULL */
	struct become *become; /* the caller becomes the root; NULL: it is made */
	bool adopts;           /* orphans of the tree come to us */
	bool frozen;           /* leave them stopped */
	uint64_t page_bytes;
};

/**
 * run_tree() - from an area with programs to a running tree
 * On failure every process that was made is dead and reaped.
 * Return: 0; negative after op_fail() naming task, step and errno.
 */
int run_tree(struct run *r);

/** run_seize() - as run_trace(). Return: 0; -errno */
int run_seize(struct run *r, struct run_task *t, size_t thread);

/** run_trace() - seize one thread of a task; it ends with us from then on. 0 or after op_fail() */
int run_trace(struct run *r, struct run_task *t, size_t thread);

/**
 * run_wait() - the next stop or death of a thread of a task that we trace
 * Return: 0; -errno.
 */
int run_wait(const struct run_task *t, pid_t tid, struct wait_status *ret);

/** run_open_gate() - let a task go on that waits at its gate, until for so many times */
void run_open_gate(struct run *r, const struct run_task *t, uint32_t times);

/**
 * run_finish() - the last switch: all threads are parked; they get their registers and go on
 * Return: 0; negative after op_fail(), nothing has run then.
 */
int run_finish(struct run *r);

/* ---- which step it was (blame.c); all return negative, after op_fail() ---- */

/** fail_step() - some agent has reported a failed step */
int fail_step(struct run *r);

/** fail_dead() - a new process has died */
int fail_dead(struct run *r, const struct run_task *t, const struct wait_status *w);

/** fail_taken() - the number that a task or thread needs is not free */
int fail_taken(struct run *r, const struct task_plan *t, pid_t id);

#endif
