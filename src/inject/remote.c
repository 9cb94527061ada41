/*
 * remote.c - system calls inside the target, with no instant at which our death would harm it.
 *
 * One thread, the leader, runs a stub in the vdso's slack: block signals, map a region, ask us to
 * fill it (a rendezvous, see arch_stub_region()), run the agent there, unmap, unblock, go home. While
 * it waits at its second rendezvous the other threads run small stubs of their own, whose calls write
 * into the region, and that wait at their end, for an instant, to be taken out. The leader is driven
 * from system-call stop to system-call stop, but in between the two rendezvous: there it runs freely, and
 * the last of its calls is such a wait too. (Two stops for each of a hundred calls would cost a
 * millisecond; where a seccomp filter does not allow the wait, that is what it costs.) If we die, there
 * are no stops, the second rendezvous is not answered, the waits are over, and every thread ends in its
 * own context.
 *
 * Numbered events at which a signal may come: (1) before the leader's first call: it is delivered
 * natively and the stub begun anew; (2) after it: blocked, save SIGKILL and SIGSTOP; (3) in a
 * thread's stub, between any two calls: as (1).
 */
#include "inject/remote.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "inject/await.h"
#include "inject/blob.h"
#include "inject/drive.h"
#include "inject/fragile.h"
#include "inject/permit.h"
#include "inject/slack.h"
#include "inject/stubs.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define STACK_SIZE 8192
#define PAGE       4096UL

struct remote {
	struct tracees *tr;
	struct prog *whole, *threads;
	uint64_t leader_at; /* its stub */
	uint64_t wave_at;   /* the threads' stubs */
	unsigned wave;      /* so many places */
	uint64_t code_size, data_size, size;
	uint64_t region; /* where the target mapped it */
	uint64_t hold_off, steps_off, whole_off, threads_off;
	size_t leader; /* its index; its own thread's questions are asked by the agent too */
	bool free;     /* the agent runs without stops */
	int err;       /* first failure; the leader is still brought home */
};

#define NOT_MADE     INT64_MIN /* result of a call that is yet to be made */
#define AWAIT_ROUNDS 8         /* about a millisecond; then it is stopped wherever it is */
#define TRIES        3         /* then with stops, which can't come too late */

/* ---- the region's layout: code, how long to hold | program, steps, data of all | stack ---- */

static const struct prog *leader_prog(const struct remote *m)
{
	static const struct prog none;

	return m->threads ? &m->threads[m->leader] : &none;
}

/* The questions, the wait for us, the second rendezvous. */
static size_t steps_count(const struct remote *m)
{
	return m->whole->n + leader_prog(m)->n + m->free + 1;
}

static uint64_t last_ret_at(const struct remote *m)
{
	size_t last = m->whole->n + leader_prog(m)->n - 1;

	return m->region + m->steps_off + last * sizeof(struct agent_step) +
	       offsetof(struct agent_step, ret);
}

static void layout(struct remote *m)
{
	uint64_t off = sizeof(struct agent_prog);

	m->hold_off = ALIGN_UP((uint64_t)agent_blob_len(), 16);
	m->code_size = ALIGN_UP(m->hold_off + sizeof(STUBS_HOLD), PAGE);
	m->steps_off = m->code_size + ALIGN_UP(off, 16);
	m->whole_off = m->steps_off + ALIGN_UP(steps_count(m) * sizeof(struct agent_step), 16);
	m->threads_off = m->whole_off + ALIGN_UP(m->whole->data_len, 16);
	off = m->threads_off;
	if (m->threads)
		off += m->tr->n * stubs_stride(m->threads);
	m->size = ALIGN_UP(off + STACK_SIZE, PAGE);
}

static uint64_t thread_data_off(const struct remote *m, size_t i)
{
	return m->threads_off + i * stubs_stride(m->threads);
}

static void fill_thread(const struct remote *m, size_t i, uint8_t *data)
{
	const uint64_t word = STUBS_HINT;
	uint64_t hint = stubs_hint(&m->threads[i]);

	memcpy(data, m->threads[i].data, m->threads[i].data_len);
	if (hint != UINT64_MAX)
		memcpy(data + hint, &word, sizeof(word));
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
	memcpy(buf + m->hold_off, &STUBS_HOLD, sizeof(STUBS_HOLD));
	prog = (void *)(buf + m->code_size);
	*prog = (struct agent_prog){.steps = m->region + m->steps_off, .n = nsteps};
	steps = (void *)(buf + m->steps_off);
	prog_lower(m->whole, &(struct prog_place){.data = m->region + m->whole_off}, steps);
	if (m->threads)
		prog_lower(leader_prog(m),
			&(struct prog_place){.data = m->region + thread_data_off(m, m->leader)},
			steps + m->whole->n);
	if (m->free) {
		steps[nsteps - 3].ret = NOT_MADE;
		steps[nsteps - 2] = (struct agent_step){.op = AGENT_SYSCALL,
			.expect = AGENT_EXPECT_ANY,
			.nr = SYS_ppoll,
			.args = {0, 0, m->region + m->hold_off, 0, 0}};
	}
	steps[nsteps - 1] = (struct agent_step){.op = AGENT_ASK, .args = {1}};
	memcpy(buf + m->whole_off, m->whole->data, m->whole->data_len);
	for (size_t i = 0; m->threads && i < m->tr->n; i++)
		fill_thread(m, i, buf + thread_data_off(m, i));
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

static void take_thread(const struct remote *m, size_t i, uint8_t *data)
{
	const uint64_t word = STUBS_HINT, zero = 0;
	uint64_t hint = stubs_hint(&m->threads[i]);

	/* the call has failed: it has left what was there before */
	if (hint != UINT64_MAX && memcmp(data + hint, &word, sizeof(word)) == 0)
		memcpy(data + hint, &zero, sizeof(zero));
	if (m->threads[i].data_len)
		memcpy(m->threads[i].data, data, m->threads[i].data_len);
}

/* Have all but the leader ask, and read what all were told: it lies side by side. */
static int threads_run(struct remote *m)
{
	struct stubs stubs = {.tr = m->tr,
		.threads = m->threads,
		.leader = m->leader,
		.at = m->wave_at,
		.places = m->wave,
		.data = m->region + m->threads_off,
		.hold_at = m->region + m->hold_off};
	size_t stride = stubs_stride(m->threads), len = m->tr->n * stride;
	_cleanup_free_ uint8_t *buf = malloc(len + 1);
	int r = buf ? stubs_run(&stubs) : -ENOMEM;

	if (r == 0)
		r = tracees_read(m->tr, stubs.data, buf, len);
	for (size_t i = 0; r == 0 && len && i < m->tr->n; i++)
		take_thread(m, i, buf + i * stride);
	return r;
}

/* ---- the leader ---- */

/* Whether all questions seem to have been asked. */
static bool agent_seems_done(const struct remote *m)
{
	int64_t ret = NOT_MADE;

	return tracees_read(m->tr, last_ret_at(m), &ret, sizeof(ret)) < 0 || ret != NOT_MADE;
}

/*
 * It has stopped. Return: 1 it is in its wait for us, and leaves it; 0 not yet there; -EAGAIN it has
 * waited in vain, and is in its own context again, where it may have run on a little; -errno
 */
static int agent_look(struct remote *m, struct tracee *t)
{
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);

	if (r < 0)
		return r;
	if (arch_ip(&regs) - m->region < m->code_size && arch_syscall_nr(&regs) == SYS_ppoll) {
		arch_syscall_ended(&regs, 0);
		r = arch_regs_set(t->tid, &regs);
		return r < 0 ? r : 1;
	}
	if (arch_ip(&regs) - m->region < m->size || slack_holds(m->tr, arch_ip(&regs)))
		return 0;
	m->tr->ran_on = true;
	r = tracee_snapshot(m->tr, t);
	return r < 0 ? r : -EAGAIN;
}

/* From behind the first rendezvous to the wait before the second one. Return: 0; else as agent_look() */
static int agent_run(struct remote *m, struct tracee *t)
{
	unsigned rounds = 0;
	int r = ptrace_cont(t->tid, 0);

	while (r == 0 && rounds < AWAIT_ROUNDS && !agent_seems_done(m))
		await_progress(&rounds);
	if (r == 0)
		r = ptrace_interrupt(t->tid);
	while (r == 0) {
		struct wait_status s;
		bool asked = true; /* for a stop that is yet to come */

		r = await_stop(t->tid, &s);
		if (r < 0)
			break;
		if (wait_is_dead(&s)) {
			t->dead = true;
			return -ESRCH;
		}
		if (s.kind == WAIT_EVENT_STOP || s.kind == WAIT_GROUP_STOP) {
			r = agent_look(m, t);
			if (r != 0)
				break;
			m->tr->group_stopped |= s.kind == WAIT_GROUP_STOP;
			asked = false;
		}
		/* SIGSTOP can't be blocked; it has its effect when we let go */
		r = ptrace_cont(t->tid, s.kind == WAIT_SIGNAL_STOP ? s.sig : 0);
		/* asked for while it stands, the next stop would come before it gets any further */
		if (r == 0 && !asked) {
			await_progress(&rounds);
			r = ptrace_interrupt(t->tid);
		}
	}
	return r < 0 ? r : 0;
}

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
		m->err = r;
		return drive_step(t, &sig); /* not answered: the program ends */
	}
	m->err = r;
	if (drive_step(t, &sig) != 0)
		return -ESRCH;
	if (r < 0)
		return 0; /* not answered: the region goes */
	r = arch_regs_get(t->tid, &regs);
	arch_syscall_ret_set(&regs, AGENT_ASK_ANSWER);
	if (r == 0)
		r = arch_regs_set(t->tid, &regs);
	return r < 0 || !m->free ? r : agent_run(m, t);
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
		int sig, r = slack_landing(m->tr, &t->resume);

		if (r == 0 && !arch_stub_region(
				      buf, m->leader_at, &region, t->sigmask, &t->resume, &entry))
			r = -E2BIG;
		if (r == 0)
			r = tracees_write(m->tr, m->leader_at, buf, sizeof(buf));
		if (r == 0)
			r = arch_regs_set(t->tid, &entry);
		if (r == 0)
			r = drive_step(t, &sig);
		if (r <= 0)
			return r;
		r = drive_deliver(m->tr, t, sig);
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
			return drive_home(m->tr, t);
		}
		if (ask) {
			r = rendezvous(m, t, &regs);
			entry = false; /* now at its exit */
		}
		if (r == 0)
			r = drive_step(t, &sig);
	}
	return r < 0 ? r : -EIO;
}

static int place(struct remote *m)
{
	for (m->wave = STUBS_MAX; m->wave > 0; m->wave--) {
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
	r = fragile_keep(tr);
	if (r == 0)
		r = permit_batch(tr, whole, threads, &m.leader);
	if (r < 0)
		return r;
	t = &tr->v[m.leader];
	for (unsigned i = 0; i == 0 || r == -EAGAIN; i++) {
		m.free = t->may_hold && i < TRIES && whole->n;
		layout(&m);
		t->held = false;
		r = leader_run(&m, t);
	}
	permit_end(tr);
	t->held = !t->dead;
	if (r == 0)
		r = m.err;
	if (r == -ENOSPC)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, "inject",
			"try again when its threads are elsewhere",
			"pid %d (%s) has no room for injected code near to where a thread is",
			tr->pid, tr->comm);
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
