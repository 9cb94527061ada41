/*
 * userptrs.c - addresses that a thread has given to the kernel: the word to clear and wake when it
 * exits, its list of robust futexes, its rseq area.
 *
 * clear_child_tid can only be asked by the thread itself (PR_GET_TID_ADDRESS, Linux >= 3.5 with
 * CONFIG_CHECKPOINT_RESTORE). The kernel writes into the rseq area as soon as it is registered, so at
 * a restore the memory is filled before.
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/userptrs.pb-c.h"
#include "res/thread/thread.h"

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	PROG_CALL_ANY(p, "userptrs: clear_child_tid", SYS_prctl, IMM(PR_GET_TID_ADDRESS),
		DATA(prog_data(p, NULL, 8)));
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__UserPtrs *m = msg_new(Ckpt__UserPtrs, CKPT__USER_PTRS__INIT);
	uint64_t head = 0;
	size_t len = 0;
	int r;

	if (!m)
		return collect_oom(c);
	m->clear_child_tid = *(const uint64_t *)answer_data(a, 0);
	r = tracee_robust_list(t->tid, &head, &len);
	if (r < 0) {
		free(m);
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "get_robust_list", NULL,
			"pid %d (%s): thread %d", c->pid, c->tr->comm, t->tid);
	}
	m->robust_list = head;
	m->robust_list_len = head ? len : 0;
	m->rseq = t->rseq.address;
	m->rseq_len = t->rseq.address ? t->rseq.size_bytes : 0;
	m->rseq_sig = t->rseq.address ? t->rseq.signature : 0;
	m->rseq_flags = t->rseq.address ? t->rseq.flags : 0;
	return collect_add_take(c, &res_userptrs.type, t->tid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__UserPtrs *m = (const void *)rec->msg;

	if (phase != PLAN_THREAD)
		return;
	PROG_CALL(prog, "userptrs: clear_child_tid", SYS_set_tid_address, IMM(m->clear_child_tid));
	if (m->robust_list)
		PROG_CALL(prog, "userptrs: robust list", SYS_set_robust_list, IMM(m->robust_list),
			IMM(m->robust_list_len));
	if (m->rseq)
		PROG_CALL(prog, "userptrs: rseq", SYS_rseq, IMM(m->rseq), IMM(m->rseq_len),
			IMM(m->rseq_flags), IMM(m->rseq_sig));
}

const struct res res_userptrs = {
	.type = {"userptrs", SCOPE_THREAD, &ckpt__user_ptrs__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
