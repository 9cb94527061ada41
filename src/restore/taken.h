/*
 * taken.h - telling who has an id that a restored task needs.
 */
#ifndef CKPT_RESTORE_TAKEN_H
#define CKPT_RESTORE_TAKEN_H

#include "core/op.h"

/**
 * taken_fail() - clone3(2) said EEXIST for a pid or tid: say whose it is and what can be done
 * @who:  for the message: "pid 12 (nginx)"
 * @id:   the number that is taken
 * Return: negative, after op_fail(CKPT_E_CONFLICT).
 */
int taken_fail(struct ckpt_op *op, const char *who, pid_t id);

#endif
