/*
 * xfeatures.c - permission for large register sets (x86: AMX tiles). Without it their first use is
 * SIGILL, and registers that hold them can't be put into a thread.
 *
 * Only the process itself can ask what it has; it is asked only on a CPU that has such sets.
 *
 * Source: arch_prctl ARCH_GET_XCOMP_SUPP, ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM, Linux >= 5.16,
 * Documentation/arch/x86/xstate.rst.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/xfeatures.pb-c.h"
#include "res/task/task.h"

#ifdef SYS_arch_prctl

#define GET_SUPPORTED 0x1021
#define GET_PERMITTED 0x1022
#define REQUEST       0x1023
#define ON_REQUEST    (1ULL << 18) /* XFEATURE_XTILE_DATA */

static bool cpu_has_some(void)
{
	uint64_t mask = 0;

	return syscall(SYS_arch_prctl, GET_SUPPORTED, &mask) == 0 && (mask & ON_REQUEST);
}

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	uint64_t at = prog_data(p, NULL, sizeof(uint64_t));

	if (cpu_has_some())
		PROG_CALL_ANY(
			p, "xfeatures: permissions", SYS_arch_prctl, IMM(GET_PERMITTED), DATA(at));
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	uint64_t permitted = *(const uint64_t *)answer_data(a, 0) & ON_REQUEST;
	Ckpt__Xfeatures *m;

	if (!permitted)
		return 0;
	m = msg_new(Ckpt__Xfeatures, CKPT__XFEATURES__INIT);
	if (!m)
		return collect_oom(c);
	m->permitted = permitted;
	return collect_add_take(c, &res_xfeatures.type, c->pid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Xfeatures *m = (const void *)rec->msg;

	if (phase != PLAN_PROCESS)
		return;
	for (int bit = 0; bit < 64; bit++) {
		if (!(m->permitted & 1ULL << bit))
			continue;
		PROG_CALL(prog, "xfeatures: ask for permission", SYS_arch_prctl, IMM(REQUEST),
			IMM(bit));
		prog_object(prog, "register set %d; does this CPU have it?", bit);
	}
}

const struct res res_xfeatures = {
	.type = {"xfeatures", SCOPE_TASK, &ckpt__xfeatures__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};

#else

const struct res res_xfeatures = {
	.type = {"xfeatures", SCOPE_TASK, &ckpt__xfeatures__descriptor, NULL},
};

#endif
