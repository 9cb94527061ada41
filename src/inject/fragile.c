/*
 * fragile.c - see fragile.h.
 */
#include "inject/fragile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel/ptrace.h"
#include "util/clock.h"

#define WAIT_NS 500000000ULL
#define DOZE_NS 500000L

static const char *fragile(const struct tracee *t)
{
	return t->dead || arch_syscall_nr(&t->regs) >= 0 ? NULL : arch_xstate_fragile(t->tid);
}

/* Until it is in a system call, or has made one and not used them since. Return: 0; -errno */
static int let_run(struct tracees *tr, struct tracee *t)
{
	const struct timespec doze = {.tv_nsec = DOZE_NS};
	uint64_t deadline = now_ns() + WAIT_NS;
	int r = 0;

	while (r == 0 && fragile(t) && now_ns() < deadline) {
		t->held = false;
		tr->ran_on = true;
		r = ptrace_cont(t->tid, 0);
		nanosleep(&doze, NULL);
		if (r == 0)
			r = tracee_interrupt(tr, t);
		if (r == 0)
			r = tracee_snapshot(tr, t);
	}
	return r;
}

static int keep(struct tracee *t)
{
	uint8_t xstate[ARCH_XSTATE_MAX];
	size_t len;
	int r = arch_xstate_get(t->tid, xstate, sizeof(xstate), &len);

	if (r < 0)
		return r;
	if (arch_xstate_stuck(xstate, len))
		return -EBUSY;
	fragile_drop(t);
	t->xstate = malloc(len + 1);
	if (!t->xstate)
		return -ENOMEM;
	memcpy(t->xstate, xstate, len);
	t->xstate_len = len;
	return 0;
}

static int keep_one(struct tracees *tr, struct tracee *t)
{
	int r = let_run(tr, t);
	const char *what = r == 0 ? fragile(t) : NULL;

	if (r == 0 && what)
		r = tr->dies ? keep(t) : -EBUSY;
	if (r == -EBUSY)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, NULL,
			tr->dies ? "try again when it has released them"
				 : "dump it without --leave-running: then they can be kept",
			"pid %d (%s): thread %d can't be asked for its state: that would lose its %s",
			tr->pid, tr->comm, t->tid, what);
	if (r < 0)
		return op_fail(tr->op, r == -ESRCH ? CKPT_E_TARGET : CKPT_E_SYSTEM, -r, "ptrace",
			NULL, "pid %d (%s): thread %d: extended registers", tr->pid, tr->comm,
			t->tid);
	return 0;
}

int fragile_keep(struct tracees *tr)
{
	int r = 0;

	for (size_t i = 0; ARCH_XSTATE_IS_FRAGILE && r == 0 && i < tr->n; i++)
		r = keep_one(tr, &tr->v[i]);
	return r;
}

int fragile_put(struct tracee *t)
{
	return t->xstate ? arch_xstate_set(t->tid, t->xstate, t->xstate_len) : 0;
}

void fragile_drop(struct tracee *t)
{
	free(t->xstate);
	t->xstate = NULL;
}
