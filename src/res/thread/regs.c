/*
 * regs.c - the register sets of a thread. Read from an EVENT_STOP at a dump, written into one at a
 * restore (regs_put()): mirror images. The kernel then does with a broken-off system call what it
 * would have done in the original: the general registers say so (see arch/<isa>/regs.c).
 */
#include "res/thread/regs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inject/drive.h"
#include "kernel/ptrace.h"
#include "proto/regs.pb-c.h"
#include "res/thread/thread.h"

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	uint8_t xstate[ARCH_XSTATE_MAX];
	size_t len;
	Ckpt__Regs *m;
	int r = arch_xstate_get(t->tid, xstate, sizeof(xstate), &len);

	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "ptrace(PTRACE_GETREGSET)", NULL,
			"pid %d (%s): thread %d: extended registers", c->pid, c->tr->comm, t->tid);
	if (arch_xstate_stuck(xstate, len))
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"try again when it has released them",
			"pid %d (%s): thread %d: %s in use, which are not restored yet", c->pid,
			c->tr->comm, t->tid, arch_xstate_stuck(xstate, len));
	m = msg_new(Ckpt__Regs, CKPT__REGS__INIT);
	if (!m)
		return collect_oom(c);
	m->general = msg_bytes(&t->regs, sizeof(t->regs));
	arch_xstate_plain(xstate, len);
	m->extended = msg_bytes(xstate, arch_xstate_used(xstate, len));
	m->sigmask = t->sigmask;
	m->ip = arch_ip(&t->regs);
	m->sp = arch_sp(&t->regs);
	m->syscall = arch_syscall_nr(&t->regs);
	m->remaining_known = t->left_known;
	m->remaining_ns = t->left_ns;
	return collect_add_take(c, &res_regs.type, t->tid, m);
}

int regs_general(struct ckpt_op *op, pid_t tid, const Ckpt__Regs *m, struct arch_regs *ret)
{
	if (m->general.len != sizeof(*ret))
		return op_fail(op, CKPT_E_IMAGE, 0, NULL, NULL,
			"thread %d: %zu bytes of general registers, not %zu", tid, m->general.len,
			sizeof(*ret));
	memcpy(ret, m->general.data, sizeof(*ret));
	return 0;
}

/* A call that has to be broken off once more is, while all signals of the thread are blocked. A sleep has
 * been (restore/sleep.c). */
static int general_put(pid_t tid, uint64_t sigmask, const struct arch_regs *general)
{
	struct arch_regs enter, leave, stop = *general;
	int sig, r = 0;

	if (ARCH_STOP_REWINDS && arch_syscall_restarts(general))
		arch_syscall_reenter(general, &enter, &leave, &stop);
	else
		r = drive_break_off(tid, general, &sig);
	if (r > 0)
		r = -EPROTO;
	if (r == 0)
		r = ptrace_setsigmask(tid, sigmask);
	return r < 0 ? r : arch_regs_set(tid, &stop);
}

int regs_put(struct ckpt_op *op, pid_t tid, const Ckpt__Regs *m, const struct arch_regs *general)
{
	int r = arch_xstate_set(tid, m->extended.data, m->extended.len);

	if (r < 0)
		return op_fail(op, CKPT_E_REFUSED, -r, "ptrace(PTRACE_SETREGSET)",
			"the image may come from a CPU with other extensions",
			"thread %d: extended registers", tid);
	r = general_put(tid, m->sigmask, general);
	if (r < 0)
		return op_fail(op, CKPT_E_SYSTEM, -r, "ptrace(PTRACE_SETREGSET)", NULL,
			"thread %d: registers", tid);
	return 0;
}

uint64_t regs_features(const struct model *m)
{
	size_t pos = 0;
	const struct model_rec *rec = model_next(m, &res_regs.type, &pos);
	const Ckpt__Regs *regs = rec ? (const void *)rec->msg : NULL;

	return regs ? arch_xstate_features(regs->extended.data, regs->extended.len) : 0;
}

static const char *const volatile_fields[] = {"remaining_ns", "remaining_known", NULL};

const struct res res_regs = {
	.type = {"regs", SCOPE_THREAD, &ckpt__regs__descriptor, volatile_fields},
	.collect = collect,
};
