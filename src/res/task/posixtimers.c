/*
 * posixtimers.c - the timers of timer_create(2): ids, clocks, whom they signal, the time left.
 *
 * /proc/PID/timers lists them; the time left and the overrun count are known to the process alone.
 * What is kept is the time that was left, as the time between dump and restore does not count. Whether a
 * timer was armed with an absolute time is told by nobody, so one that follows settings of the clock
 * is relative from then on.
 *
 * Pending: a timer whose signal waits in a queue stands still, and what it missed is counted when the
 * signal is taken. So its signal is not queued again (see pending signals), but the timer expires
 * again, at once, as soon as it is armed: the signal is its own, and goes on to count. How many
 * expirations it had missed at the dump can't be read before the signal is taken, and is lost. The
 * count of the signal taken last (timer_getoverrun(2)) is kept to be seen; arming a timer resets it.
 *
 * Ids: Linux >= 6.15 lets a process choose them (PR_TIMER_CREATE_RESTORE_IDS). Before, they count
 * from 0 in a new process: timers are made and deleted until the number comes.
 *
 * The CPU clock of the calling thread is a timer's own thread, which is told by nobody either: it is
 * taken for the thread that is signalled, else for the first.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/proc_timers.h"
#include "kernel/ptrace.h"
#include "kernel/syscalls.h"
#include "proto/posixtimers.pb-c.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define ID_MAX_STEP 100000 /* ids to count up to, where they can't be chosen */

/* The clock of thread @tid's CPU time: MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED) of the kernel */
#define THREAD_CLOCK(tid) ((int)((~(unsigned)(tid) << 3) | 6))

/* The kernel's struct sigevent */
struct kernel_sigevent {
	uint64_t value;
	int32_t signo, notify, tid;
	int32_t pad[11];
};

struct kernel_itimerspec {
	struct {
		int64_t s, ns;
	} interval, value;
};

/* ------------------------------------------------------------------ collect */

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	_cleanup_free_ struct proc_timer *v = NULL;
	size_t n = 0;
	uint64_t at;

	/* a failure is told by collect(), which reads them again: they don't change meanwhile */
	if (proc_timers_read(c->proc_fd, &v, &n) < 0 || n == 0)
		return;
	at = prog_data(p, NULL, n * sizeof(struct kernel_itimerspec));
	for (size_t i = 0; i < n; i++) {
		PROG_CALL_ANY(p, "posixtimers: time left", SYS_timer_gettime, IMM(v[i].id),
			DATA(at + i * sizeof(struct kernel_itimerspec)));
		PROG_CALL_ANY(p, "posixtimers: overruns", SYS_timer_getoverrun, IMM(v[i].id));
	}
}

/* Whether the signal of a timer is in a queue. */
static int queued(pid_t tid, bool shared, int id, bool *ret)
{
	_cleanup_free_ siginfo_t *v = NULL;
	size_t n = 0;
	int r = ptrace_peeksiginfo(tid, shared, &v, &n);

	*ret = false;
	for (size_t i = 0; r == 0 && i < n; i++)
		*ret |= v[i].si_code == SI_TIMER && v[i].si_timerid == id;
	return r;
}

static int look_pending(struct collect *c, Ckpt__PosixTimer *m)
{
	bool own = m->notify & SIGEV_THREAD_ID, pending = false;
	int r = 0;

	if (!(m->notify & SIGEV_NONE))
		r = queued(own ? m->target : tracees_leader(c->tr)->tid, !own, m->id, &pending);
	m->pending = pending;
	return r;
}

/* A timer's thread has ended: its signals go nowhere. */
static void forget_thread(struct collect *c, Ckpt__PosixTimer *m)
{
	if (!(m->notify & SIGEV_THREAD_ID))
		return;
	for (size_t i = 0; i < c->tr->n; i++)
		if (c->tr->v[i].tid == m->target)
			return;
	m->notify = SIGEV_NONE;
	m->target = 0;
}

static int add(struct collect *c, Ckpt__PosixTimers *all, const struct proc_timer *t,
	const struct kernel_itimerspec *it, int64_t overrun)
{
	Ckpt__PosixTimer *m = msg_new(Ckpt__PosixTimer, CKPT__POSIX_TIMER__INIT);

	if (!m)
		return -ENOMEM;
	all->timers[all->n_timers++] = m;
	m->id = t->id;
	m->clock = t->clock;
	m->notify = t->sigev_notify;
	m->signo = t->sigev_signo;
	m->value = t->sigev_value;
	m->target = t->sigev_notify & SIGEV_THREAD_ID ? t->target : 0;
	forget_thread(c, m);
	if (m->clock == CLOCK_THREAD_CPUTIME_ID && m->target)
		m->clock = THREAD_CLOCK(m->target);
	m->left_ns = it->value.s * NS_PER_S + it->value.ns;
	m->interval_ns = it->interval.s * NS_PER_S + it->interval.ns;
	m->overrun = overrun > 0 ? overrun : 0;
	return look_pending(c, m);
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const struct kernel_itimerspec *it = answer_data(a, 0);
	_cleanup_free_ struct proc_timer *v = NULL;
	Ckpt__PosixTimers *m;
	size_t n = 0;
	int r = proc_timers_read(c->proc_fd, &v, &n);

	if (r == -ENOENT || (r == 0 && n == 0))
		return 0; /* a kernel without the file has no such timers */
	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/timers", c->pid);
	m = msg_new(Ckpt__PosixTimers, CKPT__POSIX_TIMERS__INIT);
	if (!m || !(m->timers = calloc(n, sizeof(*m->timers)))) {
		free(m);
		return collect_oom(c);
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add(c, m, &v[i], &it[i], answer_ret(a, 2 * i + 1));
	if (r == 0)
		return collect_add_take(c, &res_posixtimers.type, c->pid, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return op_fail(c->op, CKPT_E_TARGET, -r, NULL, NULL, "pid %d (%s): its timers", c->pid,
		c->tr->comm);
}

/* ------------------------------------------------------------------ plan */

static void plan_create(const Ckpt__PosixTimer *t, struct prog *prog)
{
	struct kernel_sigevent ev = {.value = t->value,
		.signo = (int32_t)t->signo,
		.notify = (int32_t)t->notify,
		.tid = t->target};
	int32_t id = t->id;

	PROG_CALL(prog, "posixtimers: make", SYS_timer_create, IMM(t->clock),
		DATA(prog_data(prog, &ev, sizeof(ev))), DATA(prog_data(prog, &id, sizeof(id))));
	prog_object(prog, "id %d, clock %d, signal %u%s", t->id, t->clock, t->signo,
		t->target ? " to a thread" : "");
}

/* One that is deleted again, for the sake of its number. */
static void plan_skip(int id, struct prog *prog)
{
	struct kernel_sigevent ev = {.notify = SIGEV_NONE};

	PROG_CALL(prog, "posixtimers: pass over an id", SYS_timer_create, IMM(CLOCK_MONOTONIC),
		DATA(prog_data(prog, &ev, sizeof(ev))), DATA(prog_data(prog, NULL, sizeof(id))));
	prog_object(prog, "id %d", id);
	PROG_CALL(prog, "posixtimers: delete", SYS_timer_delete, IMM(id));
}

static void plan_arm(const Ckpt__PosixTimer *t, struct prog *prog)
{
	uint64_t left = t->pending ? 1 : t->left_ns;
	struct kernel_itimerspec it = {
		.interval = {t->interval_ns / NS_PER_S, t->interval_ns % NS_PER_S},
		.value = {left / NS_PER_S, left % NS_PER_S}};

	if (!left)
		return;
	PROG_CALL(prog, "posixtimers: start", SYS_timer_settime, IMM(t->id), IMM(0),
		DATA(prog_data(prog, &it, sizeof(it))), IMM(0));
	prog_object(prog, "id %d, %llu ns left, every %llu ns%s", t->id,
		(unsigned long long)t->left_ns, (unsigned long long)t->interval_ns,
		t->pending ? ", its signal is pending" : "");
}

/* Ids ascend, and are few enough to be counted up to where they can't be chosen. */
static int check(struct plan *p, const struct model_rec *rec)
{
	const Ckpt__PosixTimers *m = (const void *)rec->msg;
	int64_t last = -1;

	for (size_t i = 0; i < m->n_timers; last = m->timers[i++]->id)
		if (m->timers[i]->id <= last)
			return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"pid %llu: timer %d", (unsigned long long)rec->owner,
				m->timers[i]->id);
	if (last <= ID_MAX_STEP || p->timer_ids)
		return 0;
	return op_fail(p->op, CKPT_E_SYSTEM, 0, "timer_create", "Linux 6.15 can choose them",
		"pid %llu: this kernel only counts the ids of timers, and %lld is far",
		(unsigned long long)rec->owner, (long long)last);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__PosixTimers *m = (const void *)rec->msg;
	int next = 0;

	/* late: the threads that are signalled exist, and the clocks have waited */
	if (phase != PLAN_LATE)
		return;
	prog->err = check(p, rec);
	if (p->timer_ids)
		PROG_CALL(prog, "posixtimers: choose ids", SYS_prctl,
			IMM(PR_TIMER_CREATE_RESTORE_IDS), IMM(PR_TIMER_CREATE_RESTORE_IDS_ON));
	for (size_t i = 0; i < m->n_timers && !prog->err; i++) {
		for (; !p->timer_ids && next < m->timers[i]->id; next++)
			plan_skip(next, prog);
		next++;
		plan_create(m->timers[i], prog);
	}
	if (p->timer_ids)
		PROG_CALL(prog, "posixtimers: choose ids no more", SYS_prctl,
			IMM(PR_TIMER_CREATE_RESTORE_IDS), IMM(PR_TIMER_CREATE_RESTORE_IDS_OFF));
	for (size_t i = 0; i < m->n_timers && !prog->err; i++)
		plan_arm(m->timers[i], prog);
}

bool posixtimers_queue(const struct model *m, pid_t pid, const siginfo_t *si)
{
	const Ckpt__PosixTimers *t = model_get(m, &res_posixtimers.type, pid);

	for (size_t i = 0; t && si->si_code == SI_TIMER && i < t->n_timers; i++)
		if (t->timers[i]->id == si->si_timerid)
			return true;
	return false;
}

static const char *const volatile_fields[] = {
	"timers.left_ns", "timers.overrun", "timers.pending", NULL};

const struct res res_posixtimers = {
	.type = {"posixtimers", SCOPE_TASK, &ckpt__posix_timers__descriptor, volatile_fields},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
