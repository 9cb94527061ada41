/*
 * area.h - the piece of memory in which the agent and all programs of a tree live during a restore.
 *
 * It is shared between the coordinator and all tasks, at the same address in all, where no task of the
 * image and not the coordinator has anything: agent code | control block | programs, steps, data | stacks.
 */
#ifndef CKPT_RESTORE_AREA_H
#define CKPT_RESTORE_AREA_H

#include "agent/abi.h"
#include "restore/plan.h"

struct area {
	uint8_t *at;
	uint64_t size;
	struct agent_ctl *ctl;
	uint64_t *progs;       /* of each thread by its id: the address of its struct agent_prog */
	uint64_t entry;        /* agent_main */
	uint64_t first_stack;  /* the top of the root's */
	uint64_t syscall_insn; /* some system call instruction in the agent */
};

/**
 * area_make() - map an area and put the programs of all tasks into it
 * @m: whose address spaces it must be free in
 * @ret: released with area_done(); untouched on failure
 * Return: 0; negative after op_fail().
 */
int area_make(
	struct ckpt_op *op, const struct tree_plan *t, const struct model *m, struct area *ret);

/** area_prog() - the program of a thread, as its agent sees it */
static inline const struct agent_prog *area_prog(const struct area *a, uint32_t id)
{
	return (const struct agent_prog *)a->progs[id];
}

void area_done(struct area *a);

#endif
