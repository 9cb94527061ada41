/*
 * restore.h - bringing a process tree back.
 */
#ifndef CKPT_RESTORE_RESTORE_H
#define CKPT_RESTORE_RESTORE_H

#include <stdio.h>

#include "core/op.h"
#include "restore/become.h"

/**
 * restore_run() - load, open, plan, make, finish; then wait for the root unless req->detach
 * @ret: zeroed by the caller
 * @become: zeroed by the caller. Where it is its coordinator afterwards (req->exec), this process is not the one
 * that has called: it has to end by become_end().
 * Return: 0; negative after op_fail(); no process is left behind then.
 */
int restore_run(struct ckpt_op *op, const struct ckpt_restore_req *req,
	struct ckpt_restore_result *ret, struct become *become);

/** restore_plan() - print what restore_run() would have the tasks do. 0 or after op_fail() */
int restore_plan(struct ckpt_op *op, const struct ckpt_restore_req *req, FILE *out);

#endif
