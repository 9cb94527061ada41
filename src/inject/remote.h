/*
 * remote.h - asking a held process what only it can tell: batches of system calls inside it.
 */
#ifndef CKPT_INJECT_REMOTE_H
#define CKPT_INJECT_REMOTE_H

#include "inject/prog.h"
#include "inject/tracees.h"

/**
 * remote_run() - run one batch for the process and one for each thread
 * @whole:   run by one thread in the agent; results are left in its steps and data
 * @threads: one per tr->v[i], each of at most ARCH_STUB_CALLS_MAX steps that only write to data;
 *           results are left in their data. NULL: none
 * The process is left as it was, region unmapped and signals unblocked; a signal that comes first
 * is delivered to the program, whose thread is then stopped and looked at anew.
 * Return: 0; negative after op_fail().
 */
int remote_run(struct tracees *tr, struct prog *whole, struct prog *threads);

#endif
