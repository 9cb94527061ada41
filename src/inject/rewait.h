/*
 * rewait.h - a wait that is issued anew, with what is left as its time limit.
 *
 * Where the limit is a number in a register, the number is changed. Where it is a pointer, it is made
 * to point into the slack behind the vdso, at a record of ours that also says where it had pointed to:
 * so the next dump shows the program's own pointer again. Nothing of this is code, so whatever
 * becomes of the slack, the thread returns to where it was; all that it could see is another value in
 * the register of that argument, when the call has returned.
 */
#ifndef CKPT_INJECT_REWAIT_H
#define CKPT_INJECT_REWAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

struct tracees;

/**
 * rewait() - shorten the limit of the call that @regs are in and will issue again
 * @left_ns: nanoseconds
 * @from:    cursor into the slack, 0 at first; for several threads of one process
 * Return: whether it was done; if not, @regs are unchanged and the wait is prolonged.
 */
bool rewait(struct tracees *tr, struct arch_regs *regs, uint64_t left_ns, uint64_t *from);

/**
 * rewait_undo() - show the program's own pointer, if @regs are in a call that rewait() has shortened
 * @ret_limit_ns: the limit that is in force
 * Return: whether it is such a call.
 */
bool rewait_undo(struct tracees *tr, struct arch_regs *regs, uint64_t *ret_limit_ns);

#endif
