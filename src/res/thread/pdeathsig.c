/*
 * pdeathsig.c - the signal that a thread gets when its parent dies: prctl(PR_SET_PDEATHSIG).
 *
 * Only the thread itself can read it, and a change of credentials clears it, so it comes after
 * those. The parent of a restored root is the restore command: detached, that ends at once.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/pdeathsig.pb-c.h"
#include "res/thread/thread.h"

#define SIG_LAST 64

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	PROG_CALL(p, "pdeathsig: read", SYS_prctl, IMM(PR_GET_PDEATHSIG),
		DATA(prog_data(p, NULL, sizeof(int))));
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	int sig = *(const int *)answer_data(a, 0);
	Ckpt__PDeathSig *m;

	if (sig <= 0)
		return 0;
	m = msg_new(Ckpt__PDeathSig, CKPT__PDEATH_SIG__INIT);
	if (!m)
		return collect_oom(c);
	m->signo = sig;
	return collect_add_take(c, &res_pdeathsig.type, t->tid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__PDeathSig *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	if (m->signo > SIG_LAST) {
		prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"pdeathsig of thread %llu: no signal %u", (unsigned long long)rec->owner,
			m->signo);
		return;
	}
	PROG_CALL(prog, "pdeathsig: set", SYS_prctl, IMM(PR_SET_PDEATHSIG), IMM(m->signo));
	prog_object(prog, "signal %u", m->signo);
}

const struct res res_pdeathsig = {
	.type = {"pdeathsig", SCOPE_THREAD, &ckpt__pdeath_sig__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
