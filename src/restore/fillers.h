/*
 * fillers.h - threads of the coordinator that fill the memory of new tasks.
 *
 * The coordinator's own thread is the tracer of all tasks, and the only one that can take them over; so it
 * sees who has arrived and hands it on, and the processors are kept busy by others. A task whose memory has
 * its contents is let through its gate at once.
 */
#ifndef CKPT_RESTORE_FILLERS_H
#define CKPT_RESTORE_FILLERS_H

#include "restore/run.h"

struct fillers;

/**
 * fillers_new() - begin
 * @r: with tasks and area
 * @ret: ended with fillers_end()
 * Return: 0; negative after op_fail().
 */
int fillers_new(struct run *r, struct fillers **ret);

/**
 * fillers_add() - have a task filled that waits for it, as t->filled says for which time
 * A small tree has no threads: it is done before this returns.
 */
void fillers_add(struct fillers *f, struct run_task *t);

/** fillers_failed() - whether some memory could not be filled; op_fail() has been called then */
bool fillers_failed(struct fillers *f);

/** fillers_end() - wait until what is being filled is done, and drop what has not been begun */
void fillers_end(struct fillers *f);

#endif
