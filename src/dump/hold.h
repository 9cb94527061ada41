/*
 * hold.h - holding a process of a tree, or several of one parent together.
 */
#ifndef CKPT_DUMP_HOLD_H
#define CKPT_DUMP_HOLD_H

#include "inject/tracees.h"
#include "kernel/proc_stat.h"

/**
 * hold_zombie() - whether nothing but its exit status is left of a process
 * Return: 1 it is; 0 it lives; -ESRCH; in both of the former @ret is filled
 */
int hold_zombie(pid_t pid, struct proc_stat *ret);

/**
 * hold_try() - stop a process
 * @state: as in /proc, some time ago
 * @own: has the error, which may not matter; to be ended by op_done()
 * @ret: untouched on failure
 * Return: 0; negative after op_fail()
 */
int hold_try(struct ckpt_op *op, pid_t pid, char state, struct ckpt_op *own, struct tracees **ret);

/** hold_was_dying() - whether a process that could not be held was about to end, or has no first thread now */
bool hold_was_dying(pid_t pid);

/* A process that is to be held together with others. */
struct candidate {
	pid_t pid, parent;
	struct ckpt_op own; /* while tr is set */
	struct ckpt_op *op; /* that it is within */
	struct tracees *tr; /* NULL: it is left to take() */
	bool blocked;       /* it may be in vfork(2), and its child be another of them */
};

/**
 * candidates_ask() - ask all to stop before the first is waited for
 * @v: pid and parent are set, all else is zero; each is ended by candidate_hold() or candidate_end()
 */
void candidates_ask(struct ckpt_op *op, struct candidate *v, size_t n);

/** candidate_hold() - Return: what is held, the caller's; NULL: it has to be tried by itself, or is gone */
struct tracees *candidate_hold(struct candidate *k);

/** candidate_end() - let one go that was asked but is not held */
void candidate_end(struct candidate *k);

#endif
