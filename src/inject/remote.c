/*
 * remote.c - system calls inside the target, with no instant at which our death would harm it.
 *
 * One thread, the leader, runs a stub in the vdso's slack: block signals, map a region, ask us to
 * fill it (a rendezvous, see arch_stub_region()), run the agent there, unmap, unblock, go home. While
 * it stands at the end of the agent's program the other threads run small stubs of their own, whose calls
 * write into the region, and that wait at their end, for an instant, to be taken out. The leader is driven
 * from system-call stop to system-call stop, but in the agent: there it runs freely, and the last of its
 * calls is such a wait too. (Two stops for each of a hundred calls would cost a millisecond; where a
 * seccomp filter does not allow the wait, that is what it costs, and a second rendezvous stands in its
 * place.) If we die, there are no stops, that rendezvous is not answered, the waits are over, and every
 * thread ends in its own context.
 *
 * Many processes can be asked side by side: whoever has stopped is driven one stop further, whoever has not
 * is passed over. So nobody waits for the wake of a single one, which costs more than all that it does.
 *
 * Numbered events at which a signal may come: (1) before the leader's first call: it is delivered
 * natively and the stub begun anew; (2) after it: blocked, save SIGKILL and SIGSTOP; (3) in a
 * thread's stub, between any two calls: as (1).
 */
#include "inject/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "inject/await.h"
#include "inject/drive.h"
#include "inject/fragile.h"
#include "inject/permit.h"
#include "inject/region.h"
#include "inject/slack.h"
#include "inject/stubs.h"
#include "kernel/ptrace.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define AWAIT_ROUNDS 8 /* about a millisecond; then it is stopped wherever it is */
#define TRIES        3 /* then with stops, which can't come too late */

/* What the leader does, and what its next stop means. */
enum phase {
	START,    /* on the way to the entry of its first call */
	CALLS,    /* from the entry of a call to its exit, and on to the next entry */
	FREE,     /* in the agent, without stops */
	STOPPING, /* the same, asked to stop */
	HOME,     /* on the way from the exit of its last call to its own context */
	DONE
};

struct remote {
	struct region g;
	uint64_t leader_at; /* its stub */
	uint64_t wave_at;   /* the threads' stubs */
	unsigned wave;      /* so many places */
	enum phase phase;
	bool entry;      /* CALLS: the next stop is at the entry of a call */
	bool answer;     /* it stands in the first rendezvous, and is to be answered at the exit */
	unsigned masks;  /* calls of rt_sigprocmask so far */
	unsigned rounds; /* FREE, STOPPING: of waiting for it */
	unsigned tries;
	int err; /* first failure; the leader is still brought home */
	int r;   /* DONE: how it ended */
};

static struct tracee *leader_of(const struct remote *m)
{
	return &m->g.tr->v[m->g.leader];
}

/* Have all but the leader ask, and read what all were told: it lies side by side. */
static int threads_run(struct remote *m)
{
	struct region *g = &m->g;
	struct stubs stubs = {.tr = g->tr,
		.threads = g->threads,
		.leader = g->leader,
		.at = m->wave_at,
		.places = m->wave,
		.data = g->at + g->threads_off,
		.hold_at = g->at + g->hold_off};
	size_t stride = stubs_stride(g->threads), len = g->tr->n * stride;
	_cleanup_free_ uint8_t *buf = malloc(len + 1);
	int r = buf ? stubs_run(&stubs) : -ENOMEM;

	if (r == 0)
		r = tracees_read(g->tr, stubs.data, buf, len);
	for (size_t i = 0; r == 0 && len && i < g->tr->n; i++)
		region_take_thread(g, i, buf + i * stride);
	return r;
}

/* ---- the leader, from stop to stop ---- */

static int leader_start(struct remote *m, struct tracee *t)
{
	struct region *g = &m->g;
	struct arch_region region = {.size = g->size,
		.code_size = g->code_size,
		.arg = g->code_size,
		.ask_key = AGENT_ASK_KEY,
		.ask_answer = AGENT_ASK_ANSWER};
	uint8_t buf[ARCH_STUB_REGION_SIZE] = {0};
	struct arch_regs entry;
	int r = slack_landing(g->tr, &t->resume);

	m->phase = START;
	if (r == 0 && !arch_stub_region(buf, m->leader_at, &region, t->sigmask, &t->resume, &entry))
		r = -E2BIG;
	if (r == 0)
		r = tracees_write(g->tr, m->leader_at, buf, sizeof(buf));
	if (r == 0)
		r = arch_regs_set(t->tid, &entry);
	return r < 0 ? r : ptrace_syscall(t->tid, 0);
}

/* From its own context, where it stands; also after it has waited for us in vain. */
static int leader_begin(struct remote *m)
{
	struct tracee *t = leader_of(m);

	m->g.free = t->may_hold && m->tries < TRIES && m->g.whole->n;
	m->tries++;
	m->masks = m->rounds = 0;
	m->answer = false;
	region_layout(&m->g);
	t->held = false;
	return leader_start(m, t);
}

/* The leader has made its calls, and stands still. What fails is told later: it goes home first. */
static void take_answers(struct remote *m)
{
	m->err = region_read(&m->g);
	if (m->err == 0 && m->g.threads)
		m->err = threads_run(m);
}

/* At the entry of a rendezvous. */
static void rendezvous(struct remote *m, const struct arch_regs *at)
{
	struct region *g = &m->g;

	if (arch_syscall_arg(at, 1) == 0) {
		g->at = arch_syscall_arg(at, 2);
		m->err = region_fill(g);
		m->answer = m->err == 0; /* not answered: the region goes */
		return;
	}
	take_answers(m); /* not answered: the program ends */
}

static int at_entry(struct remote *m, struct tracee *t)
{
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);

	if (r < 0)
		return r;
	m->phase = CALLS;
	m->entry = false;
	m->masks += arch_syscall_nr(&regs) == SYS_rt_sigprocmask;
	if (arch_syscall_nr(&regs) == SYS_getpid && arch_syscall_arg(&regs, 0) == AGENT_ASK_KEY)
		rendezvous(m, &regs);
	return ptrace_syscall(t->tid, 0);
}

static int answer(struct remote *m, struct tracee *t)
{
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);

	m->answer = false;
	if (r < 0)
		return r;
	arch_syscall_ret_set(&regs, AGENT_ASK_ANSWER);
	r = arch_regs_set(t->tid, &regs);
	if (r < 0 || !m->g.free)
		return r < 0 ? r : ptrace_syscall(t->tid, 0);
	m->phase = FREE;
	return ptrace_cont(t->tid, 0);
}

static int at_exit(struct remote *m, struct tracee *t)
{
	int r;

	m->entry = true;
	if (m->answer)
		return answer(m, t);
	if (m->masks < 2)
		return ptrace_syscall(t->tid, 0);
	m->phase = HOME;
	r = ptrace_interrupt(t->tid);
	return r < 0 ? r : ptrace_cont(t->tid, 0);
}

/*
 * It was asked to stop, and has. Return: 1 it is in its wait for us, and leaves it; 0 not yet there;
 * -EAGAIN it has waited in vain, and is in its own context again, where it may have run on a little; -errno
 */
static int agent_look(struct remote *m, struct tracee *t)
{
	struct region *g = &m->g;
	struct arch_regs regs;
	int r = arch_regs_get(t->tid, &regs);

	if (r < 0)
		return r;
	if (arch_ip(&regs) - g->at < g->code_size && arch_syscall_nr(&regs) == SYS_ppoll) {
		arch_syscall_ended(&regs, 0);
		r = arch_regs_set(t->tid, &regs);
		return r < 0 ? r : 1;
	}
	if (arch_ip(&regs) - g->at < g->size || slack_holds(g->tr, arch_ip(&regs)))
		return 0;
	g->tr->ran_on = true;
	r = tracee_snapshot(g->tr, t);
	return r < 0 ? r : -EAGAIN;
}

static int at_stop_in_agent(struct remote *m, struct tracee *t, const struct wait_status *s)
{
	bool looked = s->kind == WAIT_EVENT_STOP || s->kind == WAIT_GROUP_STOP;
	int r = looked ? agent_look(m, t) : 0;

	if (r == -EAGAIN)
		return leader_begin(m);
	if (r < 0)
		return r;
	if (r > 0) {
		take_answers(m);
		m->phase = CALLS;
		m->entry = true;
		return ptrace_syscall(t->tid, 0);
	}
	m->g.tr->group_stopped |= s->kind == WAIT_GROUP_STOP;
	/* SIGSTOP can't be blocked; it has its effect when we let go */
	r = ptrace_cont(t->tid, s->kind == WAIT_SIGNAL_STOP ? s->sig : 0);
	/* asked for while it stands, the next stop would come before it gets any further */
	if (r == 0 && looked) {
		await_progress(&m->rounds);
		r = ptrace_interrupt(t->tid);
	}
	return r;
}

/* Between entries and exits of calls. */
static int at_stop_in_calls(struct remote *m, struct tracee *t, const struct wait_status *s)
{
	int r;

	if (s->kind == WAIT_SYSCALL_STOP)
		return m->phase == START || m->entry ? at_entry(m, t) : at_exit(m, t);
	if (s->kind != WAIT_SIGNAL_STOP)
		return ptrace_syscall(t->tid, 0);
	if (m->phase != START)
		return -EIO; /* they are blocked */
	r = drive_deliver(m->g.tr, t, s->sig);
	return r < 0 ? r : leader_start(m, t);
}

static int at_stop(struct remote *m, struct tracee *t, const struct wait_status *s)
{
	int r;

	if (m->phase == HOME) {
		r = tracee_wait_event(m->g.tr, t);
		if (r == 0)
			r = drive_settle(m->g.tr, t);
		return r < 0 ? r : 1;
	}
	if (wait_is_dead(s)) {
		t->dead = true;
		return -ESRCH;
	}
	return m->phase == STOPPING ? at_stop_in_agent(m, t, s) : at_stop_in_calls(m, t, s);
}

static void finish(struct remote *m, int r)
{
	m->phase = DONE;
	m->r = r;
}

/* Return: whether it has got any further. */
static bool advance(struct remote *m)
{
	struct tracee *t = leader_of(m);
	struct wait_status s;
	int r;

	if (m->phase == FREE) {
		if (m->rounds < AWAIT_ROUNDS && !region_seems_done(&m->g))
			return false;
		m->phase = STOPPING;
		r = ptrace_interrupt(t->tid);
	} else {
		r = ptrace_wait(t->tid, WNOHANG, &s);
		if (r == -EAGAIN)
			return false;
		if (r == 0)
			r = at_stop(m, t, &s);
	}
	if (r != 0)
		finish(m, MIN(r, 0));
	return true;
}

/* Nobody has got any further: @m is one of @n that are not home yet. */
static void wait_for(struct remote *m, size_t n, unsigned *idle)
{
	struct wait_status s;

	if (n == 1 && m->phase == FREE) {
		await_progress(&m->rounds);
	} else if (n == 1) {
		await_stop(leader_of(m)->tid, &s);
	} else {
		/* not for one alone, however long: another may be in its wait for us, which ends */
		*idle = MIN(*idle, AWAIT_ROUNDS - 1U);
		await_progress(idle);
	}
}

/* Until all are home. */
static void drive_all(struct remote *v, size_t n)
{
	unsigned idle = 0;

	for (;;) {
		struct remote *any = NULL;
		bool moved = false;
		size_t left = 0;

		for (size_t i = 0; i < n; i++) {
			if (v[i].phase == DONE)
				continue;
			moved |= advance(&v[i]);
			if (v[i].phase == DONE)
				continue;
			any = &v[i];
			left++;
		}
		if (!left)
			return;
		if (moved)
			idle = 0;
		else
			wait_for(any, left, &idle);
	}
}

/* ---- one process ---- */

static int place(struct remote *m)
{
	struct tracees *tr = m->g.tr;

	for (m->wave = STUBS_MAX; m->wave > 0; m->wave--) {
		m->leader_at =
			slack_take(tr, ARCH_STUB_REGION_SIZE + m->wave * ARCH_STUB_CALLS_SIZE, 0);
		if (m->leader_at) {
			m->wave_at = m->leader_at + ARCH_STUB_REGION_SIZE;
			tr->code_start = m->leader_at;
			tr->code_end = m->wave_at + m->wave * ARCH_STUB_CALLS_SIZE;
			return 0;
		}
	}
	return -ENOSPC;
}

/* Return: 0 the leader is under way, or has failed at once; negative after op_fail() */
static int begin(struct remote *m, const struct remote_batch *b)
{
	struct tracees *tr = b->tr;
	int r;

	*m = (struct remote){.g = {.tr = tr, .whole = b->whole, .threads = b->threads}};
	r = place(m);
	if (r < 0)
		return op_fail(tr->op, CKPT_E_REFUSED, 0, "inject", NULL,
			"pid %d (%s) has no room for injected code behind its vdso, nor behind other code",
			tr->pid, tr->comm);
	for (size_t i = 0; b->threads && i < tr->n; i++)
		if (b->threads[i].n > ARCH_STUB_CALLS_MAX)
			return op_fail(tr->op, CKPT_E_SYSTEM, 0, "inject", NULL,
				"%zu questions for each thread, of which a stub asks %d",
				b->threads[i].n, ARCH_STUB_CALLS_MAX);
	r = fragile_keep(tr);
	if (r == 0)
		r = permit_batch(tr, b->whole, b->threads, &m->g.leader);
	if (r < 0)
		return r;
	r = leader_begin(m);
	if (r < 0)
		finish(m, r);
	return 0;
}

/* Return: 0; negative after op_fail() */
static int end(struct remote *m)
{
	struct tracees *tr = m->g.tr;
	struct tracee *t = leader_of(m);
	int r = m->r < 0 ? m->r : m->err;

	permit_end(tr);
	t->held = !t->dead;
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

int remote_run(const struct remote_batch *v, size_t n)
{
	_cleanup_free_ struct remote *m = calloc(n + 1, sizeof(*m));
	size_t begun = 0;
	int r = 0;

	if (!m)
		return op_fail(v->tr->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu tasks", n);
	while (r == 0 && begun < n) {
		r = begin(&m[begun], &v[begun]);
		begun += r == 0;
	}
	drive_all(m, begun);
	for (size_t i = 0; i < begun; i++) {
		int r2 = end(&m[i]);

		r = r < 0 ? r : r2;
	}
	return r;
}
