/*
 * regs.h - putting a thread's registers back.
 */
#ifndef CKPT_RES_THREAD_REGS_H
#define CKPT_RES_THREAD_REGS_H

#include "arch/arch.h"
#include "core/op.h"
#include "model/model.h"
#include "proto/regs.pb-c.h"

/** regs_general() - the general registers of a record. Return: 0; negative after op_fail() */
int regs_general(struct ckpt_op *op, pid_t tid, const Ckpt__Regs *m, struct arch_regs *ret);

/**
 * regs_put() - write the registers and the signal mask of a thread in an EVENT_STOP
 * @general: of regs_general(), made ready for what the kernel has of the thread
 * Return: 0; negative after op_fail().
 */
int regs_put(struct ckpt_op *op, pid_t tid, const Ckpt__Regs *m, const struct arch_regs *general);

/** regs_features() - the xsave components (XCR0) of the CPU that the registers come from; 0: unknown */
uint64_t regs_features(const struct model *m);

#endif
