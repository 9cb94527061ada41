/*
 * check.h - what is known to fail is told before any task is made.
 */
#ifndef CKPT_RESTORE_CHECK_H
#define CKPT_RESTORE_CHECK_H

#include "res/res.h"

/**
 * check_rights() - whether we may give the tasks what the image says they had
 * Return: 0; negative after op_fail(CKPT_E_PRIVILEGE) naming the first thing that we may not.
 */
int check_rights(const struct plan *p);

#endif
