/*
 * in_flight.h - descriptions that no task has: they lie in the queue of a unix socket (SCM_RIGHTS).
 *
 * What a task does to have one as it was (arm a timer, take a lock), nobody would do for these; so the
 * dump looks at them as if it were a task itself, and the restore does it itself.
 */
#ifndef CKPT_RES_FILE_IN_FLIGHT_H
#define CKPT_RES_FILE_IN_FLIGHT_H

#include "res/file/files.h"

/**
 * files_in_flight() - the id of a description that a socket's queue holds; no task need have it
 * @fd: a duplicate in our hands; taken
 * Return: 0; negative after op_fail().
 */
int files_in_flight(struct collect_tree *t, int fd, uint32_t *ret_id);

/** files_is_in_flight() - whether what is collected is of no task, but in flight */
bool files_is_in_flight(const struct collect *c);

/** files_in_flight_done() - free what files_in_flight() keeps in t */
void files_in_flight_done(struct collect_tree *t);

/* ---- restore ---- */

/**
 * files_in_flight_locks() - when all files are open: take the locks that only descriptions in flight hold
 * Return: 0; negative after op_fail().
 */
int files_in_flight_locks(struct plan *p);

/**
 * files_need_late() - a description is needed by us, which only a task can open
 * From go() on plan_fd() leads to it, before that to what holds its number.
 * Return: whether it is one; else it is open already.
 */
bool files_need_late(struct plan *p, uint64_t id);

/** files_in_flight_go() - res.go: the rest, when all tasks are complete. 0 or negative after op_fail() */
int files_in_flight_go(struct plan *p);

#endif
