/*
 * sigaction.c - what the process does on each signal.
 *
 * Only the process itself can read this: /proc tells which signals are caught and ignored, not by
 * what. The kernel's struct differs from libc's; its signal set has 64 bits.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "proto/sigaction.pb-c.h"
#include "res/task/task.h"

#define NSIG_KERNEL 64

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

static bool settable(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP;
}

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	uint64_t at = prog_data(p, NULL, NSIG_KERNEL * sizeof(struct kernel_sigaction));

	for (int sig = 1; sig <= NSIG_KERNEL; sig++)
		if (settable(sig))
			PROG_CALL(p, "sigaction: read", SYS_rt_sigaction, IMM(sig), IMM(0),
				DATA(at + (sig - 1) * sizeof(struct kernel_sigaction)), IMM(8));
}

static int add(Ckpt__SigActions *m, int sig, const struct kernel_sigaction *k)
{
	Ckpt__SigAction *a = msg_new(Ckpt__SigAction, CKPT__SIG_ACTION__INIT);

	if (!a)
		return -1;
	a->signo = sig;
	a->handler = k->handler;
	a->flags = k->flags;
	a->restorer = k->restorer;
	a->mask = k->mask;
	m->actions[m->n_actions++] = a;
	return 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const struct kernel_sigaction *k = answer_data(a, 0);
	Ckpt__SigActions *m = msg_new(Ckpt__SigActions, CKPT__SIG_ACTIONS__INIT);

	if (!m || !(m->actions = calloc(NSIG_KERNEL, sizeof(*m->actions)))) {
		free(m);
		return collect_oom(c);
	}
	for (int sig = 1; sig <= NSIG_KERNEL; sig++, k++) {
		if (!settable(sig) || !(k->handler | k->flags | k->mask))
			continue;
		if (add(m, sig, k) < 0) {
			protobuf_c_message_free_unpacked(&m->base, NULL);
			return collect_oom(c);
		}
	}
	return collect_add_take(c, &res_sigaction.type, c->pid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__SigActions *m = (const void *)rec->msg;

	if (phase != PLAN_PROCESS)
		return;
	for (size_t i = 0; i < m->n_actions; i++) {
		const Ckpt__SigAction *s = m->actions[i];
		struct kernel_sigaction k = {s->handler, s->flags, s->restorer, s->mask};

		PROG_CALL(prog, "sigaction: set", SYS_rt_sigaction, IMM(s->signo),
			DATA(prog_data(prog, &k, sizeof(k))), IMM(0), IMM(8));
		prog_object(prog, "signal %u", s->signo);
	}
}

const struct res res_sigaction = {
	.type = {"sigaction", SCOPE_TASK, &ckpt__sig_actions__descriptor, NULL},
	.shared = SHARED_SIGHAND,
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
