/*
 * run.h - the executor: a task is made, runs its plan, and is given its registers.
 */
#ifndef CKPT_RESTORE_RUN_H
#define CKPT_RESTORE_RUN_H

#include "image/image.h"
#include "kernel/timens.h"
#include "restore/area.h"
#include "restore/front.h"
#include "restore/plan.h"
#include "restore/sleep.h"

struct run {
	struct ckpt_op *op;
	const struct image *img;
	struct plan *plan;
	struct task_plan task;
	struct area area;
	pid_t pid;                         /* 0 until the task exists */
	size_t traced;                     /* of task.threads, the first so many are traced by us */
	const struct timens_offsets *time; /* of a time namespace for it, or NULL */
	struct front *front;               /* told of the root before it runs */
	bool frozen;                       /* leave it stopped */
	struct sleepers sleepers;
	uint64_t page_bytes;
};

/**
 * run_task() - from an area with programs to a running task
 * On failure every process that was made is dead and reaped.
 * Return: 0; negative after op_fail() naming task, step and errno.
 */
int run_task(struct run *r);

#endif
