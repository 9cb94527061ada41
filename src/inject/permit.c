/*
 * permit.c - see permit.h.
 *
 * PTRACE_O_SUSPEND_SECCOMP is in force only as long as its tracer lives: one that dies while the
 * thread stands at the entry of a forbidden call leaves it to be killed. So it is the last resort,
 * and only for a process that is to die.
 */
#include "inject/permit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "agent/abi.h"
#include "kernel/syscall_name.h"
#include "util/vec.h"

#define SOMEWHERE                                                                                  \
	0x7f0000000000UL /* a pointer; what a filter would say of it is the same for all */
#define SOME_SIZE 0x10000UL

/* What arch_stub_region() and the agent's rendezvous call, see arch/<isa>/stub.c. */
static const struct arch_call region_calls[] = {
	{SYS_rt_sigprocmask, {2, SOMEWHERE, 0, 8}, false},
	{SYS_mmap, {0, SOME_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1ULL, 0},
		false},
	{SYS_mprotect, {SOMEWHERE, SOME_SIZE, PROT_READ | PROT_WRITE}, false},
	{SYS_getpid, {AGENT_ASK_KEY, 1, SOMEWHERE}, false},
	{SYS_munmap, {SOMEWHERE, SOME_SIZE}, false},
};

/* The first call of a program that the thread may not make, or -1. */
static long prog_forbidden(const struct tracees *tr, const struct tracee *t, const struct prog *p)
{
	const struct prog_place place = {.data = SOMEWHERE};

	for (size_t i = 0; i < p->n; i++) {
		const struct prog_step *s = &p->steps[i];
		uint64_t args[6];

		if (s->op != AGENT_SYSCALL)
			continue;
		for (int a = 0; a < 6; a++)
			args[a] = prog_value(&s->args[a], &place);
		if (!policy_allows(&t->policy, tr->slack_start, s->nr, args))
			return s->nr;
	}
	return -1;
}

static long whole_forbidden(const struct tracees *tr, const struct tracee *t, const struct prog *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(region_calls); i++)
		if (!policy_allows(
			    &t->policy, tr->slack_start, region_calls[i].nr, region_calls[i].args))
			return region_calls[i].nr;
	return prog_forbidden(tr, t, p);
}

/*
 * Whether a call from the slack would come back to the thread as SIGSYS. Only where the program's own
 * switch says so at the moment, and never in the range that it has exempted.
 * Source: Linux kernel/entry/syscall_user_dispatch.c.
 */
static bool sud_takes(struct tracees *tr, const struct tracee *t)
{
	uint8_t selector = 1;

	if (!t->sud.mode || tr->slack_start - t->sud.offset < t->sud.len)
		return false;
	return !t->sud.selector || tracees_read(tr, t->sud.selector, &selector, 1) < 0 || selector;
}

static int sud_lift(struct tracees *tr, struct tracee *t)
{
	int r;

	if (!tr->dies)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, NULL,
			"dump it without --leave-running: then the dispatch can be switched off",
			"pid %d (%s): thread %d can't be asked for its state: it dispatches its system "
			"calls to itself (syscall user dispatch)",
			tr->pid, tr->comm, t->tid);
	r = ptrace_sud_set(t->tid, &(struct sud_config){0});
	if (r < 0)
		return op_fail(tr->op, CKPT_E_SYSTEM, -r, "ptrace", NULL,
			"pid %d (%s): thread %d: syscall user dispatch", tr->pid, tr->comm, t->tid);
	t->sud_off = true;
	return 0;
}

static int forbidden(struct tracees *tr, struct tracee *t, long nr)
{
	const char *name = syscall_name(nr);
	int r;

	if (t->policy.kind == POLICY_UNKNOWN)
		return op_fail(tr->op, CKPT_E_PRIVILEGE, EPERM, "ptrace(PTRACE_SECCOMP_GET_FILTER)",
			"run as root", "pid %d (%s): seccomp filters of thread %d", tr->pid,
			tr->comm, t->tid);
	if (!tr->dies)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, NULL,
			"dump it without --leave-running: then the filter can be suspended",
			"pid %d (%s): thread %d can't be asked for its state: its seccomp filter does not "
			"allow %s",
			tr->pid, tr->comm, t->tid, name ? name : "a system call that is needed");
	r = ptrace_set_options(t->tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);
	if (r < 0)
		return op_fail(tr->op, CKPT_E_PRIVILEGE, -r, "ptrace(PTRACE_O_SUSPEND_SECCOMP)",
			"run as root", "pid %d (%s): thread %d", tr->pid, tr->comm, t->tid);
	t->suspended = true;
	return 0;
}

int permit_batch(struct tracees *tr, const struct prog *whole, const struct prog *threads,
	size_t *ret_leader)
{
	const uint64_t hold_args[6] = {0, 0, SOMEWHERE};
	struct tracee *leader = tracees_leader(tr);
	int r = 0;

	for (size_t i = 0; i < tr->n; i++) {
		struct tracee *t = &tr->v[i];

		if (!t->dead && whole_forbidden(tr, t, whole) < 0) {
			leader = t;
			break;
		}
	}
	if (!leader)
		return op_fail(
			tr->op, CKPT_E_TARGET, ESRCH, NULL, NULL, "pid %d (%s)", tr->pid, tr->comm);
	for (size_t i = 0; i < tr->n && r == 0; i++) {
		struct tracee *t = &tr->v[i];
		long nr = t->dead ? -1 : t == leader ? whole_forbidden(tr, t, whole) : -1;

		if (nr < 0 && !t->dead && threads)
			nr = prog_forbidden(tr, t, &threads[i]);
		if (nr >= 0)
			r = forbidden(tr, t, nr);
		/* who waits in vain goes home, and one that is stopped would run on there */
		t->may_hold = !tr->group_stopped &&
			      (t->suspended || policy_allows(&t->policy, tr->slack_start, SYS_ppoll,
						       hold_args));
		if (r == 0 && !t->dead && (threads || t == leader) && sud_takes(tr, t))
			r = sud_lift(tr, t);
	}
	if (r < 0)
		permit_end(tr);
	*ret_leader = (size_t)(leader - tr->v);
	return r;
}

void permit_end(struct tracees *tr)
{
	for (size_t i = 0; i < tr->n; i++) {
		struct tracee *t = &tr->v[i];

		if (t->suspended && !t->dead)
			ptrace_set_options(t->tid, PTRACE_O_TRACESYSGOOD);
		if (t->sud_off && !t->dead)
			ptrace_sud_set(t->tid, &t->sud);
		t->suspended = t->sud_off = false;
	}
}
