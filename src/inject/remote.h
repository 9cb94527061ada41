/*
 * remote.h - asking a held process what only it can tell: batches of system calls inside it.
 */
#ifndef CKPT_INJECT_REMOTE_H
#define CKPT_INJECT_REMOTE_H

#include "inject/prog.h"
#include "inject/tracees.h"

struct remote_batch {
	struct tracees *tr;
	struct prog
		*whole; /* run by one thread in the agent; results are left in its steps and data */
	struct prog
		*threads; /* one per tr->v[i], each of at most ARCH_STUB_CALLS_MAX steps that only
			       * write to data; results are left in their data. NULL: none */
};

/* So many processes side by side: each may wait for us for STUBS_HOLD only. */
#define REMOTE_MAX 32

/**
 * remote_run() - run a batch in each of some processes, side by side
 * @v, @n: of processes that share no memory; with more than one thread only alone
 * They are left as they were, regions unmapped and signals unblocked; a signal that comes first
 * is delivered to the program, whose thread is then stopped and looked at anew.
 * Return: 0; negative after op_fail().
 */
int remote_run(const struct remote_batch *v, size_t n);

#endif
