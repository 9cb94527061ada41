/*
 * pending.c - signals that were sent and not yet taken: each thread's own, and the process's.
 *
 * PTRACE_PEEKSIGINFO shows a queue in its order, without taking anything from it. At a restore the
 * thread sends them to itself (the leader those of the process): what a task sends to itself may have
 * any si_code, from outside SI_USER, SI_TKILL and those of the kernel are EPERM. All signals are
 * blocked then, and a blocked signal is queued even where it would be ignored.
 * The signals of timers that are there still are left to these.
 * Source: Linux kernel/signal.c do_rt_sigqueueinfo(), sig_ignored().
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "proto/pending.pb-c.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"

#define SIG_LAST 64
/* behind si_value: the kernel's own mark on the signal of a timer, which is gone with the timer */
#define SYS_PRIVATE_AT (offsetof(siginfo_t, si_value) + sizeof(union sigval))

static int add(Ckpt__PendingSignals *m, const siginfo_t *si)
{
	Ckpt__PendingSignal *s = msg_new(Ckpt__PendingSignal, CKPT__PENDING_SIGNAL__INIT);

	if (!s)
		return -1;
	m->signals[m->n_signals++] = s;
	s->signo = si->si_signo;
	s->code = si->si_code;
	s->info = msg_bytes(si, sizeof(*si));
	if (!s->info.data)
		return -1;
	if (si->si_code == SI_TIMER)
		memset(s->info.data + SYS_PRIVATE_AT, 0, sizeof(int));
	return 0;
}

/* A stop and a kill can't be put off: they have happened, or they happen after the dump. */
static bool deferrable(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP;
}

static int collect_queue(struct collect *c, const struct tracee *t, bool shared,
	const struct model_type *type, uint64_t owner)
{
	_cleanup_free_ siginfo_t *si = NULL;
	Ckpt__PendingSignals *m;
	size_t n = 0;
	int r = ptrace_peeksiginfo(t->tid, shared, &si, &n);

	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "ptrace(PTRACE_PEEKSIGINFO)", NULL,
			"pid %d (%s): thread %d", c->pid, c->tr->comm, t->tid);
	if (n == 0)
		return 0;
	m = msg_new(Ckpt__PendingSignals, CKPT__PENDING_SIGNALS__INIT);
	if (!m || !(m->signals = calloc(n, sizeof(*m->signals)))) {
		free(m);
		return collect_oom(c);
	}
	for (size_t i = 0; i < n; i++) {
		if (!deferrable(si[i].si_signo) || posixtimers_queue(c->model, c->pid, &si[i]))
			continue;
		if (add(m, &si[i]) < 0) {
			protobuf_c_message_free_unpacked(&m->base, NULL);
			return collect_oom(c);
		}
	}
	if (m->n_signals)
		return collect_add_take(c, type, owner, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return 0;
}

static int collect_own(struct collect *c, struct tracee *t, const struct answer *a)
{
	return collect_queue(c, t, false, &res_pending.type, t->tid);
}

static int collect_shared(struct collect *c, struct tracee *t, const struct answer *a)
{
	struct tracee *leader = tracees_leader(c->tr);

	return leader ? collect_queue(c, leader, true, &res_pendingshared.type, c->pid) : 0;
}

/* A signal that can't be queued is the image's fault. */
static bool check(struct plan *p, const struct model_rec *rec, const Ckpt__PendingSignal *s,
	struct prog *prog)
{
	if (s->signo >= 1 && s->signo <= SIG_LAST && deferrable((int)s->signo) &&
		s->info.len == sizeof(siginfo_t))
		return true;
	prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
		"%s of %llu: a signal %u with %zu bytes", rec->type->name,
		(unsigned long long)rec->owner, s->signo, s->info.len);
	return false;
}

static void plan_own(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__PendingSignals *m = (const void *)rec->msg;
	size_t pid;

	if (phase != PLAN_LATE)
		return;
	pid = PROG_CALL(prog, "pending: own process", SYS_getpid);
	for (size_t i = 0; i < m->n_signals; i++) {
		const Ckpt__PendingSignal *s = m->signals[i];

		if (!check(p, rec, s, prog))
			return;
		PROG_CALL(prog, "pending: queue to the thread", SYS_rt_tgsigqueueinfo, RES(pid),
			IMM(rec->owner), IMM(s->signo),
			DATA(prog_data(prog, s->info.data, s->info.len)));
		prog_object(prog, "signal %u", s->signo);
	}
}

static void plan_shared(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__PendingSignals *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	for (size_t i = 0; i < m->n_signals; i++) {
		const Ckpt__PendingSignal *s = m->signals[i];

		if (!check(p, rec, s, prog))
			return;
		PROG_CALL(prog, "pendingshared: queue to the process", SYS_rt_sigqueueinfo,
			IMM(rec->owner), IMM(s->signo),
			DATA(prog_data(prog, s->info.data, s->info.len)));
		prog_object(prog, "signal %u", s->signo);
	}
}

const struct res res_pending = {
	.type = {"pending", SCOPE_THREAD, &ckpt__pending_signals__descriptor, NULL},
	.collect = collect_own,
	.plan = plan_own,
};

const struct res res_pendingshared = {
	.type = {"pendingshared", SCOPE_TASK, &ckpt__pending_signals__descriptor, NULL},
	.collect = collect_shared,
	.plan = plan_shared,
};
