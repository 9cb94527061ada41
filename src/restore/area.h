/*
 * area.h - the piece of memory in which the agent and all programs of a task live during a restore.
 *
 * It is shared between the coordinator and the task, at the same address in both, where neither the
 * image nor the coordinator has anything: agent code | control block | programs, steps, data | stacks.
 */
#ifndef CKPT_RESTORE_AREA_H
#define CKPT_RESTORE_AREA_H

#include "agent/abi.h"
#include "proto/mm.pb-c.h"
#include "restore/plan.h"

struct area {
	uint8_t *at;
	uint64_t size;
	struct agent_ctl *ctl;
	uint64_t entry;      /* agent_main */
	uint64_t first_prog; /* of the first thread */
	uint64_t first_stack;
	uint64_t syscall_insn; /* some system call instruction in the agent */
};

/**
 * area_make() - map an area and put a task's programs into it
 * @ret: released with area_done(); untouched on failure
 * Return: 0; negative after op_fail().
 */
int area_make(struct ckpt_op *op, const struct task_plan *t, const Ckpt__Mm *mm, struct area *ret);
void area_done(struct area *a);

#endif
