/*
 * sleep.h - letting a restored thread sleep on for as long as was left.
 *
 * The kernel continues a broken-off sleep (restart_syscall) from a deadline in the task that nobody
 * can write. So the thread is made to call for the sleep once more, with what is left as its limit,
 * and is broken off at once: then the deadline is in the task. Its registers are put back after, so
 * that it does not see another pointer or number there than it had given. A wait that the kernel does not
 * continue but that is issued anew gets what is left as its limit (inject/rewait.h).
 */
#ifndef CKPT_RESTORE_SLEEP_H
#define CKPT_RESTORE_SLEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "core/op.h"
#include "proto/regs.pb-c.h"

struct tracees;

/* Kept over the threads of one task. Start with all zero. */
struct sleepers {
	struct tracees *slack; /* the place for time limits, found when the first is needed */
	uint64_t slack_from;
};

void sleepers_done(struct sleepers *s);

/**
 * sleep_begin() - have a thread wait on for what was left
 * @s:    caller frees with sleepers_done()
 * @pid:  its process
 * @tid:  in an EVENT_STOP, memory complete, all signals blocked
 * @m:    its registers
 * @regs: in: those of @m; out: those to put, whose result the kernel acts upon when the thread leaves
 * Where nothing is to be done, or it can't be, @regs make the call begin anew.
 * Return: 0; negative after op_fail(): the thread is gone.
 */
int sleep_begin(struct ckpt_op *op, struct sleepers *s, pid_t pid, pid_t tid, const Ckpt__Regs *m,
	struct arch_regs *regs);

#endif
