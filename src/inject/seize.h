/*
 * seize.h - attach to all threads of a process, also to those that are born meanwhile, and wait for their stops.
 */
#ifndef CKPT_INJECT_SEIZE_H
#define CKPT_INJECT_SEIZE_H

#include "inject/tracees.h"

/**
 * seize_pass() - one walk over the threads: attach to those that are not known, and interrupt them
 * Return: how many new ones were found; negative after op_fail().
 */
int seize_pass(struct tracees *tr);

/**
 * seize_all() - wait for the stop of all, and of those that they have made before
 * A thread that was not yet stopped may have made another: done when a walk finds nobody new.
 * Return: 0, and tr->v is sorted by tid; negative after op_fail().
 */
int seize_all(struct tracees *tr);

/** seize_known() - whether a thread is one of the first so many of tr->v, which are sorted */
bool seize_known(const struct tracees *tr, size_t sorted, pid_t tid);

#endif
