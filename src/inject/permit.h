/*
 * permit.h - choosing who asks, so that no seccomp filter is offended.
 */
#ifndef CKPT_INJECT_PERMIT_H
#define CKPT_INJECT_PERMIT_H

#include <stddef.h>

#include "inject/prog.h"
#include "inject/tracees.h"

/**
 * permit_batch() - run every intended call through the filters, before any is made
 * @whole, @threads: as of remote_run()
 * @ret_leader: the thread (its index) that can run the batch of the process
 * Where a filter forbids a call, and the process dies after the dump anyway (tr->dies), seccomp is
 * suspended for that thread (and its syscall user dispatch switched off): should we be killed in that instant the process dies early. Otherwise it is
 * refused.
 * Return: 0; negative after op_fail().
 */
int permit_batch(struct tracees *tr, const struct prog *whole, const struct prog *threads,
	size_t *ret_leader);

/** permit_end() - put seccomp and syscall user dispatch in force again for all threads */
void permit_end(struct tracees *tr);

#endif
