/*
 * sud.h - putting a thread's syscall user dispatch back.
 */
#ifndef CKPT_RES_THREAD_SUD_H
#define CKPT_RES_THREAD_SUD_H

#include <sys/types.h>

#include "core/op.h"
#include "model/model.h"

/**
 * sud_put() - put the syscall user dispatch of a thread in force, where the model has one
 * @tid: in a ptrace stop, from which it makes no call for us any more
 * Return: 0; negative after op_fail().
 */
int sud_put(struct ckpt_op *op, const struct model *model, pid_t tid);

#endif
