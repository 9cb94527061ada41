/*
 * membarrier.c - which expedited memory barriers the process has registered for: without, the calls
 * give EPERM.
 *
 * The kernel tells since Linux 6.3. Before, the process is made to issue the private barriers: those
 * that it has not registered for fail and do nothing else. (The global one can't be found out so.)
 * Registering is quick while there is one thread only.
 *
 * Source: membarrier(2).
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <linux/membarrier.h>

#include "kernel/probe.h"
#include "kernel/syscalls.h"
#include "proto/membarrier.pb-c.h"
#include "res/task/task.h"
#include "util/vec.h"

static const struct {
	unsigned use, reg;
} private[] = {
	{MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED},
	{MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE},
	{MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ},
};

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	if (kernel_has(FEATURE_MEMBARRIER_GET)) {
		PROG_CALL_ANY(p, "membarrier: registrations", SYS_membarrier,
			IMM(MEMBARRIER_GET_REGISTRATIONS), IMM(0), IMM(0));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(private); i++)
		PROG_CALL_ANY(
			p, "membarrier: try", SYS_membarrier, IMM(private[i].use), IMM(0), IMM(0));
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Membarrier *m;
	unsigned registered = 0;

	if (kernel_has(FEATURE_MEMBARRIER_GET)) {
		registered = answer_ret(a, 0) > 0 ? (unsigned)answer_ret(a, 0) : 0;
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(private); i++)
			if (answer_ret(a, i) == 0)
				registered |= private[i].reg;
	}
	if (!registered)
		return 0;
	m = msg_new(Ckpt__Membarrier, CKPT__MEMBARRIER__INIT);
	if (!m)
		return collect_oom(c);
	m->registrations = registered;
	return collect_add_take(c, &res_membarrier.type, c->pid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Membarrier *m = (const void *)rec->msg;

	if (phase != PLAN_PROCESS)
		return;
	for (unsigned bit = 1; bit; bit <<= 1) {
		if (!(m->registrations & bit))
			continue;
		PROG_CALL(prog, "membarrier: register", SYS_membarrier, IMM(bit), IMM(0), IMM(0));
		prog_object(prog, "command %#x", bit);
	}
}

const struct res res_membarrier = {
	.type = {"membarrier", SCOPE_TASK, &ckpt__membarrier__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
