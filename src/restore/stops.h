/*
 * stops.h - tasks that are left stopped, and what their parents are told of it.
 */
#ifndef CKPT_RESTORE_STOPS_H
#define CKPT_RESTORE_STOPS_H

#include "restore/run.h"

/** stops_find() - which tasks are left stopped, and which have to wait for that */
void stops_find(struct run *r);

/**
 * stops_make() - stop them, all of whose threads are held, and finish those that keep the agent until then
 * Return: 0; negative after op_fail()
 */
int stops_make(struct run *r);

/** stops_wait() - wait until all that are left stopped stand */
void stops_wait(const struct run *r);

/** finish_task() - take the agent from one task, and give its threads their registers (finish.c) */
int finish_task(struct run *r, struct run_task *t);

#endif
