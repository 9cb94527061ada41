/*
 * sud.c - syscall user dispatch: a thread's system calls, but for those from a range of its code, come
 * back to it as SIGSYS as long as a byte of its memory says so. Wine runs Windows programs by it.
 *
 * Read and written from outside (Linux >= 6.4; a kernel from 5.11 on has it, and can't tell). It is
 * put in force when the registers are in: a call of the agent would be taken by it.
 */
#include "res/thread/sud.h"

#include <errno.h>
#include <stdlib.h>

#include "kernel/ptrace.h"
#include "proto/sud.pb-c.h"
#include "res/thread/thread.h"

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Sud *m;

	if (!t->sud.mode)
		return 0;
	m = msg_new(Ckpt__Sud, CKPT__SUD__INIT);
	if (!m)
		return collect_oom(c);
	m->mode = t->sud.mode;
	m->selector = t->sud.selector;
	m->offset = t->sud.offset;
	m->len = t->sud.len;
	return collect_add_take(c, &res_sud.type, t->tid, m);
}

int sud_put(struct ckpt_op *op, const struct model *model, pid_t tid)
{
	const Ckpt__Sud *m = model_get(model, &res_sud.type, tid);
	int r;

	if (!m)
		return 0;
	r = ptrace_sud_set(tid, &(struct sud_config){m->mode, m->selector, m->offset, m->len});
	if (r < 0)
		return op_fail(op, CKPT_E_SYSTEM, -r,
			"ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG)",
			r == -EIO ? "needs Linux 6.4" : NULL, "thread %d: syscall user dispatch",
			tid);
	return 0;
}

const struct res res_sud = {
	.type = {"sud", SCOPE_THREAD, &ckpt__sud__descriptor, NULL},
	.collect = collect,
};
