/*
 * itimers.c - the three interval timers of a process: real time, its own run time, both of user and
 * system.
 *
 * Only the process itself can read them (itrealvalue in /proc/PID/stat is always 0). What is kept is the
 * time that was left: the time between dump and restore does not count. They are set again last, by
 * the first thread, while every signal is still blocked: one that goes off before the program runs is
 * delivered when it does.
 *
 * The two timers that count run time are set one tick later than what is asked for
 * (set_cpu_itimer() in kernel/time/itimer.c), so a tick is taken off, or each restore would add one.
 *
 * While its SIGALRM waits to be delivered, a periodic real timer stands still, with nothing left; the
 * delivery starts it anew. It is started with the least that makes it go off: the second SIGALRM is one
 * with the first.
 *
 * Source: getitimer(2). The kernel gives at least 1 us for a timer that runs.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "proto/itimers.pb-c.h"
#include "res/task/task.h"

#define ITIMERS  3
#define US_PER_S 1000000ULL

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	uint64_t at = prog_data(p, NULL, ITIMERS * sizeof(struct itimerval));

	for (int i = 0; i < ITIMERS; i++)
		PROG_CALL(p, "itimers: read", SYS_getitimer, IMM(i),
			DATA(at + i * sizeof(struct itimerval)));
}

static uint64_t us_of(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * US_PER_S + (uint64_t)tv->tv_usec;
}

static struct timeval of_us(uint64_t us)
{
	return (struct timeval){.tv_sec = us / US_PER_S, .tv_usec = us % US_PER_S};
}

static uint64_t tick_us(void)
{
	struct timespec ts = {0};

	clock_getres(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_nsec / 1000;
}

/* What has to be asked for to have this left. */
static uint64_t asked_us(int which, uint64_t left_us)
{
	uint64_t tick = tick_us();

	if (which == ITIMER_REAL || left_us == 0)
		return left_us;
	return left_us > tick ? left_us - tick : 1;
}

static int add(Ckpt__ITimers *m, int which, const struct itimerval *it)
{
	Ckpt__ITimer *t = msg_new(Ckpt__ITimer, CKPT__ITIMER__INIT);

	if (!t)
		return -1;
	t->which = which;
	t->value_us = asked_us(which, us_of(&it->it_value));
	t->interval_us = us_of(&it->it_interval);
	m->timers[m->n_timers++] = t;
	return 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	const struct itimerval *it = answer_data(a, 0);
	Ckpt__ITimers *m = msg_new(Ckpt__ITimers, CKPT__ITIMERS__INIT);

	if (!m || !(m->timers = calloc(ITIMERS, sizeof(*m->timers)))) {
		free(m);
		return collect_oom(c);
	}
	for (int i = 0; i < ITIMERS; i++) {
		if ((us_of(&it[i].it_value) || us_of(&it[i].it_interval)) &&
			add(m, i, &it[i]) < 0) {
			protobuf_c_message_free_unpacked(&m->base, NULL);
			return collect_oom(c);
		}
	}
	if (m->n_timers)
		return collect_add_take(c, &res_itimers.type, c->pid, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return 0;
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	static const char *const names[ITIMERS] = {"ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"};
	const Ckpt__ITimers *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	for (size_t i = 0; i < m->n_timers; i++) {
		const Ckpt__ITimer *t = m->timers[i];
		struct itimerval it = {of_us(t->interval_us), of_us(t->value_us ? t->value_us : 1)};

		if (t->which >= ITIMERS) {
			prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"pid %llu: an interval timer %u", (unsigned long long)rec->owner,
				t->which);
			return;
		}
		PROG_CALL(prog, "itimers: start", SYS_setitimer, IMM(t->which),
			DATA(prog_data(prog, &it, sizeof(it))), IMM(0));
		prog_object(prog, "%s, %llu us left, every %llu us", names[t->which],
			(unsigned long long)t->value_us, (unsigned long long)t->interval_us);
	}
}

static const char *const volatile_fields[] = {"timers.value_us", NULL};

const struct res res_itimers = {
	.type = {"itimers", SCOPE_TASK, &ckpt__itimers__descriptor, volatile_fields},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
