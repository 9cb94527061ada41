/*
 * stubs.c - see stubs.h.
 *
 * A thread's calls write into the leader's region, and at their end it waits, for an instant, to be taken
 * out. If we die its wait is over and it goes home. A signal between any two calls is delivered in the
 * program's own context, and the stub begun anew.
 */
#include "inject/stubs.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "inject/await.h"
#include "inject/drive.h"
#include "inject/slack.h"
#include "kernel/ptrace.h"
#include "util/vec.h"

#define AWAIT_ROUNDS 8 /* about a millisecond; then it is stopped wherever it is */

static int stub_make(
	const struct stubs *m, size_t i, uint8_t *buf, uint64_t at, struct arch_regs *entry)
{
	const struct tracee *t = &m->tr->v[i];
	const struct prog *p = &m->threads[i];
	struct arch_call calls[ARCH_STUB_CALLS_MAX];
	struct prog_place place = {.data = m->data + i * stubs_stride(m->threads)};

	for (size_t k = 0; k < p->n; k++) {
		calls[k].nr = p->steps[k].nr;
		calls[k].keep = p->steps[k].wants_ret;
		for (int a = 0; a < 6; a++)
			calls[k].args[a] = prog_value(&p->steps[k].args[a], &place);
	}
	return arch_stub_calls(
		       buf, at, calls, p->n, t->may_hold ? m->hold_at : 0, &t->resume, entry)
		       ? 0
		       : -E2BIG;
}

static int stub_start(struct stubs *m, size_t i, uint64_t at)
{
	uint8_t buf[ARCH_STUB_CALLS_SIZE] = {0};
	struct tracee *t = &m->tr->v[i];
	struct arch_regs entry;
	int r = slack_landing(m->tr, &m->tr->v[i].resume);

	if (r == 0)
		r = stub_make(m, i, buf, at, &entry);
	if (r == 0)
		r = tracees_write(m->tr, at, buf, sizeof(buf));
	if (r == 0)
		r = arch_regs_set(t->tid, &entry);
	if (r == 0)
		r = t->may_hold ? ptrace_cont(t->tid, 0) : ptrace_syscall(t->tid, 0);
	t->held = false;
	return r;
}

/* The thread has stopped. Return: 1 its calls are made, and it is home; 0 not yet; -errno */
static int stub_look(struct stubs *m, size_t i, uint64_t at)
{
	struct tracee *t = &m->tr->v[i];
	struct prog *p = &m->threads[i];
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);

	if (r < 0)
		return r;
	if (arch_stub_calls_held(&regs, at)) {
		for (size_t k = 0, kept = 0; k < p->n; k++)
			if (p->steps[k].wants_ret)
				p->steps[k].ret = arch_stub_calls_result(&regs, kept++);
		r = drive_settle(m->tr, t);
		return r < 0 ? r : 1;
	}
	if (arch_ip(&regs) - at < ARCH_STUB_CALLS_SIZE)
		return 0;
	/* we were too slow: it has gone home by itself, and has run on a little */
	m->tr->ran_on = true;
	r = tracee_snapshot(m->tr, t);
	return r < 0 ? r : stub_start(m, i, at);
}

/* Have a started thread stop, if it runs: asked for while it stands, the stop would come when it is let go. */
static int stub_stop(const struct tracee *t)
{
	struct wait_status s;
	int r = ptrace_wait(t->tid, WNOHANG, &s);

	return r == -EAGAIN ? ptrace_interrupt(t->tid) : r;
}

/* Take a thread that was asked to stop out at the end of its stub. */
static int stub_finish(struct stubs *m, size_t i, uint64_t at)
{
	struct tracee *t = &m->tr->v[i];
	unsigned rounds = 0;

	for (;;) {
		struct wait_status s;
		int r = await_stop(t->tid, &s);

		if (r < 0)
			return r;
		t->held = true;
		if (wait_is_dead(&s)) {
			t->dead = true;
			t->held = false;
			return -ESRCH;
		}
		if (s.kind == WAIT_SIGNAL_STOP) {
			r = drive_deliver(m->tr, t, s.sig);
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
		await_progress(&rounds);
		r = stub_stop(t);
		if (r < 0)
			return r;
	}
}

/* The same for a thread that may not wait there: two stops for each call. */
static int stub_step(struct stubs *m, size_t i, uint64_t at)
{
	struct tracee *t = &m->tr->v[i];
	struct prog *p = &m->threads[i];
	unsigned seen = 0;

	for (;;) {
		struct wait_status s;
		struct arch_regs regs;
		int r = await_stop(t->tid, &s);

		if (r < 0)
			return r;
		t->held = !wait_is_dead(&s);
		t->dead = !t->held;
		if (t->dead)
			return -ESRCH;
		if (s.kind == WAIT_SIGNAL_STOP) {
			r = drive_deliver(m->tr, t, s.sig);
			if (r == 0)
				r = stub_start(m, i, at);
			seen = 0;
		} else {
			if (s.kind == WAIT_SYSCALL_STOP && seen++ % 2) {
				r = arch_regs_get(t->tid, &regs);
				p->steps[seen / 2 - 1].ret = arch_syscall_ret(&regs);
			}
			if (r == 0 && seen == 2 * p->n)
				return drive_home(m->tr, t);
			if (r == 0)
				r = ptrace_syscall(t->tid, 0);
		}
		if (r < 0)
			return r;
	}
}

/* Whether there is nothing yet: an answer is to be written there. */
static bool is_room(const struct prog *p, uint64_t at)
{
	uint64_t word = 0;

	memcpy(&word, p->data + at, MIN(sizeof(word), p->data_len - at));
	return word == 0;
}

uint64_t stubs_hint(const struct prog *p)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < p->n; i++)
		for (int a = 0; a < 6; a++)
			if (p->steps[i].args[a].kind == PROG_DATA &&
				is_room(p, p->steps[i].args[a].value))
				at = p->steps[i].args[a].value;
	return at;
}

/* Whether all of a wave seem to have come to the ends of their stubs. */
static bool wave_seems_done(const struct stubs *m, const size_t *who, unsigned n, uint64_t hint)
{
	uint64_t word[STUBS_MAX];
	struct iovec to[STUBS_MAX], from[STUBS_MAX];

	for (unsigned k = 0; k < n; k++) {
		uint64_t at = m->data + who[k] * stubs_stride(m->threads) + hint;

		word[k] = STUBS_HINT;
		to[k] = (struct iovec){&word[k], sizeof(word[k])};
		from[k] = (struct iovec){(void *)at, sizeof(word[k])};
	}
	if (process_vm_readv(m->tr->alive, to, n, from, n, 0) < 0)
		return true;
	for (unsigned k = 0; k < n; k++)
		if (word[k] == STUBS_HINT)
			return false;
	return true;
}

/* A thread that is stopped too early has to be started, and waited for, once more. */
static void wave_await(const struct stubs *m, const size_t *who, unsigned n)
{
	uint64_t hint = stubs_hint(&m->threads[who[0]]);
	unsigned rounds = 0;

	while (hint != UINT64_MAX && rounds < AWAIT_ROUNDS && !wave_seems_done(m, who, n, hint))
		await_progress(&rounds);
}

/*
 * As many threads as there are places are started, then stopped, then looked at: to wake a processor that
 * has nothing to do is slow, and so it is done once for all of them.
 */
static int wave_run(struct stubs *m, const size_t *who, unsigned n)
{
	unsigned started = 0;
	int r = 0;

	while (started < n && r == 0) {
		r = stub_start(m, who[started], m->at + started * ARCH_STUB_CALLS_SIZE);
		started += r == 0;
	}
	if (r == 0)
		wave_await(m, who, n);
	for (unsigned k = 0; k < started; k++)
		if (m->tr->v[who[k]].may_hold)
			stub_stop(&m->tr->v[who[k]]); /* what fails does so again below */
	for (unsigned k = 0; k < started; k++) {
		uint64_t at = m->at + k * ARCH_STUB_CALLS_SIZE;
		int r2 = m->tr->v[who[k]].may_hold ? stub_finish(m, who[k], at)
						   : stub_step(m, who[k], at);

		r = r < 0 ? r : r2;
	}
	return r;
}

int stubs_run(struct stubs *m)
{
	size_t who[STUBS_MAX];
	unsigned n = 0;
	int r = 0;

	for (size_t i = 0; i < m->tr->n && r == 0; i++) {
		if (i != m->leader && !m->tr->v[i].dead && m->threads[i].n)
			who[n++] = i;
		if (n == m->places || (n && i + 1 == m->tr->n)) {
			r = wave_run(m, who, n);
			n = 0;
		}
	}
	return r;
}
