/*
 * sigaltstack.c - the alternate signal stack. Only the thread itself can read it.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "proto/sigaltstack.pb-c.h"
#include "res/thread/thread.h"

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	PROG_CALL(p, "sigaltstack: read", SYS_sigaltstack, IMM(0),
		DATA(prog_data(p, NULL, sizeof(stack_t))));
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const stack_t *ss = answer_data(a, 0);
	Ckpt__SigAltStack *m;

	if (ss->ss_flags & SS_DISABLE)
		return 0;
	m = msg_new(Ckpt__SigAltStack, CKPT__SIG_ALT_STACK__INIT);
	if (!m)
		return collect_oom(c);
	m->sp = (uintptr_t)ss->ss_sp;
	m->size_bytes = ss->ss_size;
	m->flags = ss->ss_flags;
	return collect_add_take(c, &res_sigaltstack.type, t->tid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__SigAltStack *m = (const void *)rec->msg;
	stack_t ss = {0};

	if (phase != PLAN_THREAD)
		return;
	ss.ss_sp = (void *)(uintptr_t)m->sp;
	ss.ss_size = m->size_bytes;
	ss.ss_flags = m->flags & ~(uint32_t)SS_ONSTACK; /* being on it is told by sp alone */
	PROG_CALL(prog, "sigaltstack: set", SYS_sigaltstack, DATA(prog_data(prog, &ss, sizeof(ss))),
		IMM(0));
}

const struct res res_sigaltstack = {
	.type = {"sigaltstack", SCOPE_THREAD, &ckpt__sig_alt_stack__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
