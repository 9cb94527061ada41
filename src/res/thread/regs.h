/*
 * regs.h - putting a thread's registers back.
 */
#ifndef CKPT_RES_THREAD_REGS_H
#define CKPT_RES_THREAD_REGS_H

#include "core/op.h"
#include "proto/regs.pb-c.h"

/**
 * regs_put() - write the registers and the signal mask of a thread in an EVENT_STOP
 * Return: 0; negative after op_fail().
 */
int regs_put(struct ckpt_op *op, pid_t tid, const Ckpt__Regs *m);

#endif
