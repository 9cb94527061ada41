/*
 * pdeathsig.c - the signal that a thread gets when its parent dies: prctl(PR_SET_PDEATHSIG).
 *
 * Only the thread itself can read it, and a change of credentials clears it, so it comes after
 * those. The parent of a restored root is the restore command: detached, that ends at once, and a signal
 * that would kill the program then is left out.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/pdeathsig.pb-c.h"
#include "proto/regs.pb-c.h"
#include "proto/sigaction.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/task/task.h"
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

static bool ignored_by_default(uint32_t sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
}

/* The root, if a thread is of it: its parent is the restore command; all others have theirs in the tree. */
static const Ckpt__Task *root_with(const struct plan *p, uint64_t tid)
{
	size_t pos = 0;
	const struct model_rec *rec = model_next(p->model, &res_task.type, &pos);
	const Ckpt__Task *m = rec ? (const void *)rec->msg : NULL;

	for (size_t i = 0; m && i < m->n_tids; i++)
		if ((uint64_t)m->tids[i] == tid)
			return m;
	return NULL;
}

/* Whether a signal would end the root's process, or stop it. */
static bool kills(const struct plan *p, uint64_t tid, uint32_t sig)
{
	const Ckpt__Regs *regs = model_get(p->model, &res_regs.type, tid);
	const Ckpt__Task *root = root_with(p, tid);
	const Ckpt__SigActions *m =
		root ? model_get(p->model, &res_sigaction.type, (uint64_t)root->pid) : NULL;

	if (!root)
		return false;
	if (ignored_by_default(sig) || (regs && sig && regs->sigmask & 1ULL << (sig - 1)))
		return false;
	for (size_t i = 0; m && i < m->n_actions; i++)
		if (m->actions[i]->signo == sig && m->actions[i]->handler)
			return false;
	return true;
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
	if (p->req && p->req->detach && kills(p, rec->owner, m->signo)) {
		if (!p->describe)
			op_warn(p->op,
				"thread %llu is not to get signal %u any more when its parent dies: that "
				"would be at once, as ckpt restore --detach is its parent",
				(unsigned long long)rec->owner, m->signo);
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
