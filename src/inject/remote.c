/*
 * remote.c - system calls inside the target, with no instant at which our death would harm it.
 *
 * One thread, the leader, runs a stub in the vdso's slack: block signals, map a region, ask us to
 * fill it (a rendezvous, see arch_stub_region()), run the agent there, unmap, unblock, go home. While
 * it waits at its second rendezvous the other threads run small stubs of their own, whose calls write
 * into the region, and that wait at their end, for an instant, to be taken out. The leader is driven
 * from system-call stop to system-call stop. If we die, there are no stops, the second rendezvous is
 * not answered, the others' wait is over, and every thread ends in its own context.
 *
 * Numbered events at which a signal may come: (1) before the leader's first call: it is delivered
 * natively and the stub begun anew; (2) after it: blocked, save SIGKILL and SIGSTOP; (3) in a
 * thread's stub, between any two calls: as (1).
 */
#include "inject/remote.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "inject/blob.h"
#include "inject/permit.h"
#include "inject/slack.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define WAVE_MAX              6
#define STACK_SIZE            8192
#define PAGE                  4096UL
#define SI_CODE_USER_DISPATCH 2 /* SYS_USER_DISPATCH of asm-generic/siginfo.h, Linux >= 5.11 */
#define HOLD_NS               50000000UL /* how long a thread waits for us at the end of its stub */
#define YIELDS                4          /* then we doze */
#define DOZE_NS               20000L     /* how long we wait for it to come there, at first */
#define DOZE_MAX_NS           10000000L

struct remote {
	struct tracees *tr;
	struct prog *whole, *threads;
	uint64_t leader_at; /* its stub */
	uint64_t wave_at;   /* the threads' stubs */
	unsigned wave;      /* so many places */
	uint64_t code_size, data_size, size;
	uint64_t region; /* where the target mapped it */
	uint64_t steps_off, whole_off, threads_off;
	size_t leader; /* its index; its own thread's questions are asked by the agent too */
	int err;       /* first failure; the leader is still brought home */
};

/* ---- the region's layout: code | program, steps, data of all | stack ---- */

static const struct prog *leader_prog(const struct remote *m)
{
	static const struct prog none;

	return m->threads ? &m->threads[m->leader] : &none;
}

static size_t steps_count(const struct remote *m)
{
	return m->whole->n + leader_prog(m)->n + 1;
}

static void layout(struct remote *m)
{
	uint64_t off = sizeof(struct agent_prog);

	m->code_size = ALIGN_UP((uint64_t)agent_blob_len(), PAGE);
	m->steps_off = m->code_size + ALIGN_UP(off, 16);
	m->whole_off = m->steps_off + ALIGN_UP(steps_count(m) * sizeof(struct agent_step), 16);
	m->threads_off = m->whole_off + ALIGN_UP(m->whole->data_len, 16);
	off = m->threads_off;
	for (size_t i = 0; m->threads && i < m->tr->n; i++)
		off += ALIGN_UP(m->threads[i].data_len, 16);
	m->size = ALIGN_UP(off + STACK_SIZE, PAGE);
}

static uint64_t thread_data_off(const struct remote *m, size_t i)
{
	/* every thread is asked the same, so every block has the same length */
	return m->threads_off + i * ALIGN_UP(m->threads[0].data_len, 16);
}

/* Put the agent, its program and all data into the region. */
static int fill(struct remote *m)
{
	size_t nsteps = steps_count(m);
	_cleanup_free_ uint8_t *buf = calloc(1, m->size);
	struct agent_prog *prog;
	struct agent_step *steps;

	if (!buf)
		return -ENOMEM;
	memcpy(buf, agent_blob, agent_blob_len());
	prog = (void *)(buf + m->code_size);
	*prog = (struct agent_prog){.steps = m->region + m->steps_off, .n = nsteps};
	steps = (void *)(buf + m->steps_off);
	prog_lower(m->whole, &(struct prog_place){.data = m->region + m->whole_off}, steps);
	if (m->threads)
		prog_lower(leader_prog(m),
			&(struct prog_place){.data = m->region + thread_data_off(m, m->leader)},
			steps + m->whole->n);
	steps[nsteps - 1] = (struct agent_step){.op = AGENT_ASK, .args = {1}};
	memcpy(buf + m->whole_off, m->whole->data, m->whole->data_len);
	for (size_t i = 0; m->threads && i < m->tr->n; i++)
		memcpy(buf + thread_data_off(m, i), m->threads[i].data, m->threads[i].data_len);
	return tracees_write(m->tr, m->region, buf, m->size - STACK_SIZE);
}

static int collect_whole(struct remote *m)
{
	size_t len = (m->whole->n + leader_prog(m)->n) * sizeof(struct agent_step);
	_cleanup_free_ struct agent_step *steps = malloc(len + 1);
	int r;

	if (!steps)
		return -ENOMEM;
	r = tracees_read(m->tr, m->region + m->steps_off, steps, len);
	if (r == 0)
		r = tracees_read(
			m->tr, m->region + m->whole_off, m->whole->data, m->whole->data_len);
	for (size_t i = 0; r == 0 && i < m->whole->n; i++)
		m->whole->steps[i].ret = steps[i].ret;
	for (size_t i = 0; r == 0 && i < leader_prog(m)->n; i++)
		leader_prog(m)->steps[i].ret = steps[m->whole->n + i].ret;
	return r;
}

/* ---- one stop further ---- */

/* From a stop to the next system-call stop. Return: 0; 1 a signal stop (value in *sig); -errno */
static int step(struct tracee *t, int *sig)
{
	for (;;) {
		struct wait_status s;
		int r = ptrace_syscall(t->tid, 0);

		if (r == 0)
			r = ptrace_wait(t->tid, 0, &s);
		if (r < 0)
			return r;
		if (s.kind == WAIT_SYSCALL_STOP)
			return 0;
		if (wait_is_dead(&s)) {
			t->dead = true;
			t->held = false;
			return -ESRCH;
		}
		if (s.kind == WAIT_SIGNAL_STOP) {
			*sig = s.sig;
			return 1;
		}
	}
}

/*
 * Whether a call of ours was dispatched to the program: its SIGSYS names an address in the slack.
 * Only before Linux 6.4, where ptrace does not tell that a thread has such a dispatch (see permit.c).
 */
static bool is_dispatch(const struct tracees *tr, const struct tracee *t, int sig)
{
	siginfo_t si;

	return sig == SIGSYS && ptrace_siginfo(t->tid, &si) == 0 &&
	       si.si_code == SI_CODE_USER_DISPATCH &&
	       (uintptr_t)si.si_call_addr - tr->code_start <= tr->code_end - tr->code_start;
}

/*
 * Deliver a signal in the program's own context, stop again, look anew. A SIGSYS that our own call has
 * raised is dropped instead: the program never made the call, and would end or answer it.
 * Return: 0; -EOPNOTSUPP the thread dispatches its system calls, and stands in its own context again.
 */
static int deliver(struct tracees *tr, struct tracee *t, int sig)
{
	bool dispatch = is_dispatch(tr, t, sig);
	int r = arch_regs_set(t->tid, &t->regs);

	if (r == 0)
		r = ptrace_cont(t->tid, dispatch ? 0 : sig);
	t->held = false;
	if (r == 0)
		r = tracee_interrupt(tr, t);
	if (r == 0)
		r = tracee_snapshot(tr, t);
	return r == 0 && dispatch ? -EOPNOTSUPP : r;
}

/* From a syscall-exit-stop into an EVENT_STOP, where its own registers lead home by the signal path. */
static int go_home(struct tracees *tr, struct tracee *t)
{
	int r = tracee_interrupt(tr, t);

	return r < 0 ? r : arch_regs_set(t->tid, &t->regs);
}

/* ---- the threads' stubs ---- */

/* Whether its seccomp filters let the thread wait for us. If not it is driven from stop to stop. */
static bool may_hold(const struct tracees *tr, const struct tracee *t)
{
	return t->suspended ||
	       policy_allows(&t->policy, tr->slack_start, SYS_ppoll, (const uint64_t[6]){0});
}

static int stub_make(
	const struct remote *m, size_t i, uint8_t *buf, uint64_t at, struct arch_regs *entry)
{
	const struct prog *p = &m->threads[i];
	struct arch_call calls[ARCH_STUB_CALLS_MAX];
	struct prog_place place = {.data = m->region + thread_data_off(m, i)};

	for (size_t k = 0; k < p->n; k++) {
		calls[k].nr = p->steps[k].nr;
		for (int a = 0; a < 6; a++)
			calls[k].args[a] = prog_value(&p->steps[k].args[a], &place);
	}
	return arch_stub_calls(buf, at, calls, p->n, may_hold(m->tr, &m->tr->v[i]) ? HOLD_NS : 0,
		       &m->tr->v[i].resume, entry)
		       ? 0
		       : -E2BIG;
}

static int stub_start(struct remote *m, size_t i, uint64_t at)
{
	uint8_t buf[ARCH_STUB_CALLS_SIZE] = {0};
	struct arch_regs entry;
	int r = stub_make(m, i, buf, at, &entry);

	if (r == 0)
		r = tracees_write(m->tr, at, buf, sizeof(buf));
	if (r == 0)
		r = arch_regs_set(m->tr->v[i].tid, &entry);
	if (r == 0)
		r = may_hold(m->tr, &m->tr->v[i]) ? ptrace_cont(m->tr->v[i].tid, 0)
						  : ptrace_syscall(m->tr->v[i].tid, 0);
	m->tr->v[i].held = false;
	return r;
}

/* The thread has stopped. Return: 1 its calls are made, and it is home; 0 not yet; -errno */
static int stub_look(struct remote *m, size_t i, uint64_t at)
{
	struct tracee *t = &m->tr->v[i];
	struct prog *p = &m->threads[i];
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);

	if (r < 0)
		return r;
	if (arch_stub_calls_held(&regs, at)) {
		for (size_t k = 0; k < p->n; k++)
			p->steps[k].ret = arch_stub_calls_result(&regs, k);
		r = arch_regs_set(t->tid, &t->regs);
		return r < 0 ? r : 1;
	}
	if (arch_ip(&regs) - at < ARCH_STUB_CALLS_SIZE)
		return 0;
	/* we were too slow: it has gone home by itself, and has run on a little */
	r = tracee_snapshot(m->tr, t);
	return r < 0 ? r : stub_start(m, i, at);
}

/* Take one started thread out at the end of its stub. */
static int stub_finish(struct remote *m, size_t i, uint64_t at)
{
	struct timespec doze = {.tv_nsec = DOZE_NS};
	struct tracee *t = &m->tr->v[i];
	unsigned tries = 0;

	sched_yield(); /* it may be waiting for our processor */
	for (;;) {
		struct wait_status s;
		int r = ptrace_wait(t->tid, WNOHANG, &s);

		/* only one that runs: asked for while it stands, the stop would come when it is let go */
		if (r == -EAGAIN) {
			r = ptrace_interrupt(t->tid);
			if (r == 0)
				r = ptrace_wait(t->tid, 0, &s);
		}
		if (r < 0)
			return r;
		t->held = true;
		if (wait_is_dead(&s)) {
			t->dead = true;
			t->held = false;
			return -ESRCH;
		}
		if (s.kind == WAIT_SIGNAL_STOP) {
			r = deliver(m->tr, t, s.sig);
			if (r == 0)
				r = stub_start(m, i, at);
		} else if (s.kind == WAIT_EVENT_STOP || s.kind == WAIT_GROUP_STOP) {
			r = stub_look(m, i, at);
			if (r != 0)
				return r < 0 ? r : 0;
		}
		if (r == 0 && t->held)
			r = ptrace_cont(t->tid, 0);
		if (r < 0)
			return r;
		t->held = false;
		/* on a busy machine it gets a processor late; stopped before that it gets nowhere */
		if (++tries < YIELDS) {
			sched_yield();
			continue;
		}
		nanosleep(&doze, NULL);
		doze.tv_nsec = MIN(2 * doze.tv_nsec, DOZE_MAX_NS);
	}
}

/* The same for a thread that may not wait there: two stops for each call. */
static int stub_step(struct remote *m, size_t i, uint64_t at)
{
	struct tracee *t = &m->tr->v[i];
	struct prog *p = &m->threads[i];
	unsigned seen = 0;

	for (;;) {
		struct wait_status s;
		struct arch_regs regs;
		int r = ptrace_wait(t->tid, 0, &s);

		if (r < 0)
			return r;
		t->held = !wait_is_dead(&s);
		t->dead = !t->held;
		if (t->dead)
			return -ESRCH;
		if (s.kind == WAIT_SIGNAL_STOP) {
			r = deliver(m->tr, t, s.sig);
			if (r == 0)
				r = stub_start(m, i, at);
			seen = 0;
		} else {
			if (s.kind == WAIT_SYSCALL_STOP && seen++ % 2) {
				r = arch_regs_get(t->tid, &regs);
				p->steps[seen / 2 - 1].ret = arch_syscall_ret(&regs);
			}
			if (r == 0 && seen == 2 * p->n)
				return go_home(m->tr, t);
			if (r == 0)
				r = ptrace_syscall(t->tid, 0);
		}
		if (r < 0)
			return r;
	}
}

/* The places for stubs, used in turn: while one thread is taken out the others come to their ends. */
struct turn {
	size_t who[WAVE_MAX]; /* in each place */
	size_t started, finished;
};

static int turn_finish(struct remote *m, struct turn *u)
{
	unsigned k = u->finished++ % m->wave;
	uint64_t at = m->wave_at + k * ARCH_STUB_CALLS_SIZE;

	return may_hold(m->tr, &m->tr->v[u->who[k]]) ? stub_finish(m, u->who[k], at)
						     : stub_step(m, u->who[k], at);
}

static int turn_start(struct remote *m, struct turn *u, size_t i)
{
	unsigned k = u->started % m->wave;
	int r = u->started - u->finished == m->wave ? turn_finish(m, u) : 0;

	if (r < 0)
		return r;
	u->who[k] = i;
	u->started++;
	return stub_start(m, i, m->wave_at + k * ARCH_STUB_CALLS_SIZE);
}

static int threads_run(struct remote *m)
{
	struct turn u = {.started = 0};
	int r = 0;

	for (size_t i = 0; i < m->tr->n && r == 0; i++)
		if (i != m->leader && !m->tr->v[i].dead && m->threads[i].n)
			r = turn_start(m, &u, i);
	while (u.finished < u.started) {
		int r2 = turn_finish(m, &u);

		r = r < 0 ? r : r2;
	}
	return r;
}

static int threads_collect(struct remote *m)
{
	for (size_t i = 0; i < m->tr->n; i++) {
		struct prog *p = &m->threads[i];
		int r = p->data_len == 0 || m->tr->v[i].dead
				? 0
				: tracees_read(m->tr, m->region + thread_data_off(m, i), p->data,
					  p->data_len);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the leader ---- */

/* The leader stands at the entry of a rendezvous. */
static int rendezvous(struct remote *m, struct tracee *t, const struct arch_regs *at)
{
	struct arch_regs regs;
	int sig, r = 0;

	if (arch_syscall_arg(at, 1) == 0) {
		m->region = arch_syscall_arg(at, 2);
		r = fill(m);
	} else {
		r = collect_whole(m);
		if (r == 0 && m->threads)
			r = threads_run(m);
		if (r == 0 && m->threads)
			r = threads_collect(m);
		m->err = r;
		return step(t, &sig); /* not answered: the program ends */
	}
	m->err = r;
	if (step(t, &sig) != 0)
		return -ESRCH;
	if (r < 0)
		return 0; /* not answered: the region goes */
	r = arch_regs_get(t->tid, &regs);
	arch_syscall_ret_set(&regs, AGENT_ASK_ANSWER);
	return r < 0 ? r : arch_regs_set(t->tid, &regs);
}

static int leader_start(struct remote *m, struct tracee *t)
{
	struct arch_region region = {.size = m->size,
		.code_size = m->code_size,
		.arg = m->code_size,
		.ask_key = AGENT_ASK_KEY,
		.ask_answer = AGENT_ASK_ANSWER};

	for (;;) {
		uint8_t buf[ARCH_STUB_REGION_SIZE] = {0};
		struct arch_regs entry;
		int sig, r;

		arch_stub_region(buf, m->leader_at, &region, t->sigmask, &t->resume, &entry);
		r = tracees_write(m->tr, m->leader_at, buf, sizeof(buf));
		if (r == 0)
			r = arch_regs_set(t->tid, &entry);
		if (r == 0)
			r = step(t, &sig);
		if (r <= 0)
			return r;
		r = deliver(m->tr, t, sig);
		if (r < 0)
			return r;
	}
}

static int leader_run(struct remote *m, struct tracee *t)
{
	struct arch_regs regs;
	unsigned masks = 0;
	int sig, r = leader_start(m, t);

	/* at the entry of the first rt_sigprocmask; from here on entries and exits alternate */
	for (bool entry = true; r == 0; entry = !entry) {
		bool ask = false;

		if (entry) {
			r = arch_regs_get(t->tid, &regs);
			if (r < 0)
				break;
			ask = arch_syscall_nr(&regs) == SYS_getpid &&
			      arch_syscall_arg(&regs, 0) == AGENT_ASK_KEY;
			masks += arch_syscall_nr(&regs) == SYS_rt_sigprocmask;
		} else if (masks == 2) {
			return go_home(m->tr, t);
		}
		if (ask) {
			r = rendezvous(m, t, &regs);
			entry = false; /* now at its exit */
		}
		if (r == 0)
			r = step(t, &sig);
	}
	return r < 0 ? r : -EIO;
}

static int place(struct remote *m)
{
	for (m->wave = WAVE_MAX; m->wave > 0; m->wave--) {
		m->leader_at = slack_take(
			m->tr, ARCH_STUB_REGION_SIZE + m->wave * ARCH_STUB_CALLS_SIZE, 0);
		if (m->leader_at) {
			m->wave_at = m->leader_at + ARCH_STUB_REGION_SIZE;
			m->tr->code_start = m->leader_at;
			m->tr->code_end = m->wave_at + m->wave * ARCH_STUB_CALLS_SIZE;
			return 0;
		}
	}
	return -ENOSPC;
}

int remote_run(struct tracees *tr, struct prog *whole, struct prog *threads)
{
	struct remote m = {.tr = tr, .whole = whole, .threads = threads};
	struct tracee *t;
	int r = place(&m);

	if (r < 0)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, "inject", NULL,
			"pid %d (%s) has no room for injected code behind its vdso, nor behind other code",
			tr->pid, tr->comm);
	for (size_t i = 0; threads && i < tr->n; i++)
		if (threads[i].n > ARCH_STUB_CALLS_MAX)
			return op_fail(tr->op, CKPT_E_SYSTEM, 0, "inject", NULL,
				"%zu questions for each thread, of which a stub asks %d",
				threads[i].n, ARCH_STUB_CALLS_MAX);
	r = permit_batch(tr, whole, threads, &m.leader);
	if (r < 0)
		return r;
	t = &tr->v[m.leader];
	layout(&m);
	t->held = false;
	r = leader_run(&m, t);
	permit_end(tr);
	t->held = !t->dead;
	if (r == 0)
		r = m.err;
	if (r == -EOPNOTSUPP)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, NULL, "needs Linux 6.4",
			"pid %d (%s) can't be asked for its state: a thread dispatches its system calls to "
			"itself (syscall user dispatch)",
			tr->pid, tr->comm);
	if (r < 0)
		return op_fail(tr->op, r == -ESRCH ? CKPT_E_TARGET : CKPT_E_SYSTEM, -r, "inject",
			NULL, "pid %d (%s): asking the process for its state", tr->pid, tr->comm);
	return 0;
}
