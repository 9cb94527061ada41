/*
 * rewait.c - see rewait.h.
 */
#include "inject/rewait.h"

#include <time.h>

#include "inject/slack.h"
#include "inject/tracees.h"
#include "inject/wait.h"
#include "util/clock.h"

#define RECORD_MAGIC 0x746977657274706bULL

/* First what the kernel reads. No part is long enough to be taken for free room. */
struct record {
	struct timespec left;
	uint64_t pointer; /* the program's own */
	uint64_t magic;
};

static const struct wait_limit *limit_of(const struct arch_regs *regs)
{
	uint64_t args[6];

	for (int i = 0; i < 6; i++)
		args[i] = arch_syscall_arg(regs, i);
	return wait_limit_of(arch_syscall_nr(regs), args);
}

bool rewait(struct tracees *tr, struct arch_regs *regs, uint64_t left_ns, uint64_t *from)
{
	const struct wait_limit *l = limit_of(regs);
	struct record rec = {.magic = RECORD_MAGIC};
	uint64_t at;

	if (!l)
		return false;
	if (l->form == WAIT_MILLISECONDS) {
		arch_syscall_arg_set(regs, l->arg, (left_ns + NS_PER_MS - 1) / NS_PER_MS);
		return true;
	}
	at = slack_take(tr, sizeof(rec), *from);
	if (!at)
		return false;
	rec.left.tv_sec = (time_t)(left_ns / NS_PER_S);
	rec.left.tv_nsec = (long)(left_ns % NS_PER_S);
	rec.pointer = arch_syscall_arg(regs, l->arg);
	if (tracees_write(tr, at, &rec, sizeof(rec)) < 0)
		return false;
	arch_syscall_arg_set(regs, l->arg, at);
	*from = at + sizeof(rec);
	return true;
}

bool rewait_undo(struct tracees *tr, struct arch_regs *regs, uint64_t *ret_limit_ns)
{
	const struct wait_limit *l;
	struct record rec;
	uint64_t at;

	if (arch_syscall_nr(regs) < 0)
		return false;
	l = limit_of(regs);
	if (!l || l->form != WAIT_TIMESPEC)
		return false;
	at = arch_syscall_arg(regs, l->arg);
	if (!slack_holds(tr, at) || tracees_read(tr, at, &rec, sizeof(rec)) < 0 ||
		rec.magic != RECORD_MAGIC)
		return false;
	*ret_limit_ns = (uint64_t)rec.left.tv_sec * NS_PER_S + (uint64_t)rec.left.tv_nsec;
	arch_syscall_arg_set(regs, l->arg, rec.pointer);
	return true;
}
