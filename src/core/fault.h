/*
 * fault.h - fault points: named places where a test makes the tool fail, or die.
 *
 * The environment variable CKPT_FAULT=NAME makes the point NAME fail with EIO, CKPT_FAULT=NAME:kill
 * makes the tool kill itself there with SIGKILL. Each name stands in the table of fault.c, in the
 * order in which a run passes them; `ckpt check --faults` prints it.
 *
 * As a failure is known to be clean there, they are also where an operation can be cancelled.
 */
#ifndef CKPT_CORE_FAULT_H
#define CKPT_CORE_FAULT_H

#include "core/op.h"

/** fault_point() - Return: 0, or a negative value after op_fail() when the test asked for it here, or
 * it was cancelled */
int fault_point(struct ckpt_op *op, const char *name);

/** fault_names() - NULL-terminated table, static */
const char *const *fault_names(void);

#endif
