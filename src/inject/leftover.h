/*
 * leftover.h - a tracer before us was killed in the midst: its code is still in the target.
 */
#ifndef CKPT_INJECT_LEFTOVER_H
#define CKPT_INJECT_LEFTOVER_H

#include "inject/tracees.h"

/**
 * leftover_leave() - bring a stopped thread out of code that a dead tracer has left
 * The code leads home by itself, so the thread is let run until it is there. Its regs are read before,
 * and as they are when it has left.
 * Return: 0, also when it is in no such code; -EBUSY it does not get out, or is stopped in it (after op_fail()); -errno
 */
int leftover_leave(struct tracees *tr, struct tracee *t);

#endif
