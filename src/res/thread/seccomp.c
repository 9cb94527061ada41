/*
 * seccomp.c - what filters a thread's system calls: strict mode, or a chain of filters.
 *
 * The filters were fetched already when the thread was seized (inject/policy.h). Threads share them
 * as a rule: the chain of the first thread that has any stands in its record, the others refer to
 * it. Where all have just these, one thread attaches them for all (SECCOMP_FILTER_FLAG_TSYNC), and
 * the kernel shares them again.
 *
 * At a restore they are attached while the thread still may (CAP_SYS_ADMIN, before credentials), and
 * seccomp is suspended by its tracer (PTRACE_O_SUSPEND_SECCOMP) until it is given its registers, so
 * that the steps that follow pass.
 * A filter that asks a supervisor (SECCOMP_RET_USER_NOTIF) is useless without that one's descriptor,
 * and refused.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proto/seccomp.pb-c.h"
#include "res/thread/thread.h"

#define INSNS_MAX 4096

/* ------------------------------------------------------------------ collect */

/* Whether @b begins with all of @a. */
static bool begins(const struct policy *b, const struct policy *a)
{
	if (b->kind != POLICY_FILTERS || a->n > b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->filters[i].n != b->filters[i].n ||
			memcmp(a->filters[i].v, b->filters[i].v,
				a->filters[i].n * sizeof(*a->filters[i].v)) != 0)
			return false;
	return true;
}

static const struct tracee *base_find(const struct tracees *tr)
{
	for (size_t i = 0; i < tr->n; i++)
		if (!tr->v[i].dead && tr->v[i].policy.kind == POLICY_FILTERS)
			return &tr->v[i];
	return NULL;
}

static bool for_all(const struct tracees *tr, const struct policy *base)
{
	for (size_t i = 0; i < tr->n; i++)
		if (!tr->v[i].dead &&
			(tr->v[i].policy.n != base->n || !begins(&tr->v[i].policy, base)))
			return false;
	return true;
}

static bool asks_supervisor(const struct policy_filter *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].code == (BPF_RET | BPF_K) &&
			(f->v[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

static Ckpt__SeccompFilter *filter_new(pid_t tid, const struct policy *p, size_t i)
{
	Ckpt__SeccompFilter *f = msg_new(Ckpt__SeccompFilter, CKPT__SECCOMP_FILTER__INIT);

	if (!f)
		return NULL;
	f->code = msg_bytes(p->filters[i].v, p->filters[i].n * sizeof(*p->filters[i].v));
	if (!f->code.data || ptrace_seccomp_flags(tid, i, &f->flags) < 0)
		f->flags = 0; /* before Linux 4.16 */
	return f;
}

static int fill(struct collect *c, const struct tracee *t, Ckpt__Seccomp *m)
{
	const struct policy *p = &t->policy;
	const struct tracee *base = base_find(c->tr);
	size_t from = 0;

	m->mode = p->kind == POLICY_STRICT ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER;
	if (p->kind == POLICY_STRICT)
		return 0;
	if (t == base) {
		m->for_all = for_all(c->tr, p);
	} else if (begins(p, &base->policy)) {
		m->like = base->tid;
		from = base->policy.n;
	}
	m->filters = calloc(p->n - from + 1, sizeof(*m->filters));
	if (!m->filters)
		return collect_oom(c);
	for (size_t i = from; i < p->n; i++) {
		if (asks_supervisor(&p->filters[i]))
			return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, NULL,
				"pid %d (%s): thread %d has a seccomp filter that asks a supervisor "
				"(SECCOMP_RET_USER_NOTIF), which is not saved yet",
				c->pid, c->tr->comm, t->tid);
		m->filters[m->n_filters] = filter_new(t->tid, p, i);
		if (!m->filters[m->n_filters++] || !m->filters[m->n_filters - 1]->code.data)
			return collect_oom(c);
	}
	return 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Seccomp *m;
	int r;

	if (t->policy.kind == POLICY_NONE)
		return 0;
	if (t->policy.kind == POLICY_UNKNOWN)
		return op_fail(c->op, CKPT_E_PRIVILEGE, EACCES, "ptrace(PTRACE_SECCOMP_GET_FILTER)",
			"run as root, and not itself under a seccomp filter",
			"pid %d (%s): seccomp filters of thread %d", c->pid, c->tr->comm, t->tid);
	m = msg_new(Ckpt__Seccomp, CKPT__SECCOMP__INIT);
	if (!m)
		return collect_oom(c);
	r = fill(c, t, m);
	if (r == 0)
		return collect_add_take(c, &res_seccomp.type, t->tid, m);
	if (m->n_filters && !m->filters[m->n_filters - 1])
		m->n_filters--;
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* ------------------------------------------------------------------ plan */

static bool valid(const Ckpt__Seccomp *m)
{
	if (m->mode != SECCOMP_MODE_STRICT && m->mode != SECCOMP_MODE_FILTER)
		return false;
	for (size_t i = 0; i < m->n_filters; i++) {
		size_t len = m->filters[i]->code.len;

		if (len == 0 || len % sizeof(struct sock_filter) ||
			len / sizeof(struct sock_filter) > INSNS_MAX)
			return false;
	}
	return true;
}

static void plan_filters(struct prog *prog, const Ckpt__Seccomp *m, uint64_t extra_flags)
{
	for (size_t i = 0; i < m->n_filters; i++) {
		const Ckpt__SeccompFilter *f = m->filters[i];
		struct sock_fprog fprog = {
			.len = (unsigned short)(f->code.len / sizeof(struct sock_filter))};
		uint64_t code = prog_data(prog, f->code.data, f->code.len);
		uint64_t at = prog_data(prog, &fprog, sizeof(fprog));

		prog_pointer(prog, at + offsetof(struct sock_fprog, filter), code);
		PROG_CALL_EQ(prog, "seccomp: attach a filter", 0, SYS_seccomp,
			IMM(SECCOMP_SET_MODE_FILTER), IMM(f->flags | extra_flags), DATA(at));
		prog_object(prog, "%u instructions", fprog.len);
	}
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Seccomp *m = (const void *)rec->msg, *base = NULL;

	if (phase != PLAN_LATE)
		return;
	if (m->like)
		base = model_get(p->model, &res_seccomp.type, m->like);
	if (!valid(m) || (m->like && (!base || base == m || base->like || !valid(base)))) {
		prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"seccomp of thread %llu", (unsigned long long)rec->owner);
		return;
	}
	if (m->mode == SECCOMP_MODE_STRICT) {
		PROG_CALL(prog, "seccomp: strict mode", SYS_prctl, IMM(PR_SET_SECCOMP),
			IMM(SECCOMP_MODE_STRICT));
		return;
	}
	if (base && !base->for_all)
		plan_filters(prog, base, 0);
	plan_filters(prog, m, m->for_all ? SECCOMP_FILTER_FLAG_TSYNC : 0);
}

const struct res res_seccomp = {
	.type = {"seccomp", SCOPE_THREAD, &ckpt__seccomp__descriptor, NULL},
	.collect = collect,
	.plan = plan,
};
