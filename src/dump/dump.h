/*
 * dump.h - saving a process tree.
 */
#ifndef CKPT_DUMP_DUMP_H
#define CKPT_DUMP_DUMP_H

#include "core/op.h"

/**
 * dump_run() - run all stages
 * @ret: zeroed by the caller; dir is owned by it also after a failure
 * Return: 0; negative after op_fail(), with the state of the target told by op_target().
 */
int dump_run(struct ckpt_op *op, const struct ckpt_dump_req *req, struct ckpt_dump_result *ret);

#endif
