/*
 * prctl.c - attributes of a process that prctl(2) reads and sets: dumpable, child subreaper,
 * what to do on memory failures, rdtsc, memory that may not become executable. (What concerns how its
 * memory is kept, huge pages and KSM, is with the memory.)
 *
 * Some of them are the thread's in the kernel (memory failures, rdtsc), but inherited by new threads;
 * they are read of the thread that asks, and set before the others are made.
 *
 * dumpable comes last of all: each change of credentials, by any thread, resets it for the whole
 * process. 2 can't be set (PR_SET_DUMPABLE takes 0 and 1); it becomes 0, which is as tight. MDWE comes
 * late, as it can't be undone and forbids what mapping the memory takes.
 *
 * Source: prctl(2). PR_GET_MDWE since Linux 6.3; a kernel that lacks it answers EINVAL, and a
 * process on it has the default.
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kernel/syscalls.h"
#include "proto/prctl.pb-c.h"
#include "res/task/task.h"

/* In the order in which they are asked; most answer by what they return. */
enum { DUMPABLE, MCE_KILL, MDWE, SUBREAPER, TSC };

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	uint64_t at = prog_data(p, NULL, 2 * sizeof(uint64_t));

	PROG_CALL_ANY(p, "prctl: dumpable", SYS_prctl, IMM(PR_GET_DUMPABLE));
	PROG_CALL_ANY(p, "prctl: memory failures", SYS_prctl, IMM(PR_MCE_KILL_GET));
	PROG_CALL_ANY(p, "prctl: executable memory", SYS_prctl, IMM(PR_GET_MDWE));
	PROG_CALL_ANY(
		p, "prctl: child subreaper", SYS_prctl, IMM(PR_GET_CHILD_SUBREAPER), DATA(at));
	PROG_CALL_ANY(p, "prctl: rdtsc", SYS_prctl, IMM(PR_GET_TSC), DATA(at + 8));
}

/* What a call has returned; 0, the default, where the kernel does not know it. */
static uint32_t value(const struct answer *a, size_t step)
{
	int64_t ret = answer_ret(a, step);

	return ret > 0 ? (uint32_t)ret : 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const uint32_t *subreaper = answer_data(a, 0), *tsc = answer_data(a, 8);
	Ckpt__Prctl *m = msg_new(Ckpt__Prctl, CKPT__PRCTL__INIT);

	if (!m)
		return collect_oom(c);
	m->dumpable = value(a, DUMPABLE);
	if (value(a, MCE_KILL) == PR_MCE_KILL_EARLY)
		m->mce_kill = CKPT__PRCTL__MCE_KILL__EARLY;
	else if (answer_ret(a, MCE_KILL) == PR_MCE_KILL_LATE)
		m->mce_kill = CKPT__PRCTL__MCE_KILL__LATE;
	m->mdwe = value(a, MDWE);
	m->child_subreaper = *subreaper;
	m->tsc_faults = *tsc == PR_TSC_SIGSEGV;
	return collect_add_take(c, &res_prctl.type, c->pid, m);
}

/* What the task has inherited from us is set where it may differ, whatever the image says. */
static void plan_inherited(const Ckpt__Prctl *m, struct prog *prog)
{
	static const int mce[] = {PR_MCE_KILL_DEFAULT, PR_MCE_KILL_EARLY, PR_MCE_KILL_LATE};
	bool known = (unsigned)m->mce_kill < 3;

	PROG_CALL_ANY(prog, "prctl: memory failures", SYS_prctl, IMM(PR_MCE_KILL),
		IMM(PR_MCE_KILL_SET), IMM(mce[known ? m->mce_kill : 0]));
	if (m->child_subreaper)
		PROG_CALL(prog, "prctl: child subreaper", SYS_prctl, IMM(PR_SET_CHILD_SUBREAPER),
			IMM(1));
	if (m->tsc_faults)
		PROG_CALL(prog, "prctl: rdtsc", SYS_prctl, IMM(PR_SET_TSC), IMM(PR_TSC_SIGSEGV));
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Prctl *m = (const void *)rec->msg;

	if (phase == PLAN_PROCESS)
		plan_inherited(m, prog);
	if (phase == PLAN_LAST && m->mdwe)
		PROG_CALL(prog, "prctl: executable memory", SYS_prctl, IMM(PR_SET_MDWE),
			IMM(m->mdwe));
	if (phase == PLAN_LAST)
		PROG_CALL(prog, "prctl: dumpable", SYS_prctl, IMM(PR_SET_DUMPABLE),
			IMM(m->dumpable == 1));
}

const struct res res_prctl = {
	.type = {"prctl", SCOPE_TASK, &ckpt__prctl__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
