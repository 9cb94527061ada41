/*
 * wait.c - see wait.h.
 */
#include "inject/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <linux/futex.h>

#include "inject/tracees.h"
#include "kernel/proc.h"
#include "kernel/proc_sched.h"
#include "kernel/proc_stat.h"
#include "kernel/proc_syscall.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/parallel.h"
#include "util/str.h"
#include "util/vec.h"

#define CPUS_MAX 1024

static const struct wait_limit limits[] = {
	{SYS_nanosleep, WAIT_TIMESPEC, 0, 1},
	{SYS_clock_nanosleep, WAIT_TIMESPEC, 2, 3},
	{SYS_futex, WAIT_TIMESPEC, 3, -1},
#ifdef SYS_poll
	{SYS_poll, WAIT_MILLISECONDS, 2, -1},
#endif
#ifdef SYS_epoll_wait
	{SYS_epoll_wait, WAIT_MILLISECONDS, 3, -1},
#endif
	{SYS_epoll_pwait, WAIT_MILLISECONDS, 3, -1},
	{SYS_epoll_pwait2, WAIT_TIMESPEC, 3, -1},
	{SYS_rt_sigtimedwait, WAIT_TIMESPEC, 2, -1},
	{SYS_semtimedop, WAIT_TIMESPEC, 3, -1},
	{SYS_io_getevents, WAIT_TIMESPEC, 4, -1},
	{SYS_io_pgetevents, WAIT_TIMESPEC, 4, -1},
};

const struct wait_limit *wait_limit_of(long nr, const uint64_t args[6])
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct wait_limit *l = &limits[i];

		if (l->nr != nr)
			continue;
		if (nr == SYS_clock_nanosleep && (args[1] & TIMER_ABSTIME))
			return NULL;
		if (nr == SYS_futex && (args[1] & FUTEX_CMD_MASK) != FUTEX_WAIT)
			return NULL;
		if (l->form == WAIT_MILLISECONDS)
			return (int32_t)args[l->arg] > 0 ? l : NULL;
		return args[l->arg] ? l : NULL;
	}
	return NULL;
}

/* ---- before the stop ---- */

static int sched_look(struct tracees *tr, pid_t tid, struct wait_seen *ret)
{
	_cleanup_free_ char *text = NULL;
	struct proc_stat st;
	int r = file_read_at(tr->proc_fd, proc_task_path(tid, "sched").s, &text, NULL);

	if (r == 0)
		r = proc_sched_parse(text, &ret->exec_start_ns);
	if (r == 0)
		r = proc_sched_switches(text, &ret->switches);
	if (r == 0)
		r = proc_stat_read(tr->proc_fd, tid, &st);
	if (r == 0)
		ret->cpu = st.processor;
	return r;
}

/*
 * A sleep that was broken off before (by another dump, a debugger, SIGSTOP) goes on in
 * restart_syscall; what it was before is told by where in the kernel the thread waits.
 */
static long call_restarted(struct tracees *tr, pid_t tid, const uint64_t args[6])
{
	_cleanup_free_ char *text = NULL;

	if (file_read_at(tr->proc_fd, proc_task_path(tid, "wchan").s, &text, NULL) < 0)
		return SYS_restart_syscall;
	if (strstr(text, "futex"))
		return SYS_futex;
#ifdef SYS_poll
	if (strstr(text, "poll"))
		return SYS_poll;
#endif
	if (strcmp(text, "0") == 0 || !*text)
		return SYS_restart_syscall;
	/* What sleeps by a timer is passed over by wchan, up to the entry of system calls. The first
	 * argument is a clock or a pointer, which no clock is near to. */
	return args[0] < 4096 || (int32_t)args[0] == (int64_t)args[0] ? SYS_clock_nanosleep
								      : SYS_nanosleep;
}

struct looking {
	struct tracees *tr;
	struct wait_seen *seen; /* one for each thread; tid 0: it does not wait with a limit */
};

static void wait_look(void *arg, size_t i)
{
	const struct looking *l = arg;
	struct wait_seen seen = l->seen[i];
	struct proc_syscall call;

	l->seen[i].tid = 0;
	if (proc_syscall_read(l->tr->proc_fd, seen.tid, &call) < 0 || call.nr < 0)
		return;
	seen.nr = call.nr;
	seen.restarted = call.nr == SYS_restart_syscall;
	if (seen.restarted)
		seen.nr = call_restarted(l->tr, seen.tid, call.args);
	else if (!wait_limit_of(call.nr, call.args))
		return;
	if (sched_look(l->tr, seen.tid, &seen) == 0 || seen.restarted)
		l->seen[i] = seen;
}

void waits_look(struct tracees *tr)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n = 0;

	if (proc_tasks(tr->proc_fd, &tids, &n) < 0)
		return;
	tr->seen = calloc(n + 1, sizeof(*tr->seen));
	for (size_t i = 0; tr->seen && i < n; i++)
		tr->seen[i].tid = tids[i];
	if (tr->seen)
		parallel_each(n, wait_look, &(struct looking){tr, tr->seen});
	for (size_t i = 0; tr->seen && i < n; i++)
		if (tr->seen[i].tid)
			tr->seen[tr->n_seen++] = tr->seen[i];
}

/* ---- after it ---- */

/* How far the clock of a CPU's run queue is ahead of CLOCK_MONOTONIC: known only while running there. */
static int clock_ahead(int cpu, int64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	cpu_set_t before, one;
	uint64_t here;
	int64_t now;
	int r;

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before) < 0)
		return -EINVAL;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		return -errno;
	sched_yield(); /* sets our own se.exec_start to now */
	now = (int64_t)now_ns();
	r = file_read_at(AT_FDCWD, "/proc/thread-self/sched", &text, NULL);
	sched_setaffinity(0, sizeof(before), &before);
	if (r == 0)
		r = proc_sched_parse(text, &here);
	if (r == 0)
		*ret = (int64_t)here - now;
	return r;
}

const struct wait_seen *wait_seen_find(const struct tracees *tr, pid_t tid)
{
	for (size_t lo = 0, hi = tr->n_seen; lo < hi;) {
		size_t mid = (lo + hi) / 2;

		if (tr->seen[mid].tid == tid)
			return &tr->seen[mid];
		if (tr->seen[mid].tid < tid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int timespec_read(struct tracees *tr, uint64_t addr, uint64_t *ret_ns)
{
	struct timespec ts;
	int r = tracees_read(tr, addr, &ts, sizeof(ts));

	if (r < 0)
		return r;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long)NS_PER_S ||
		ts.tv_sec > INT64_MAX / (long)NS_PER_S - 1)
		return -ERANGE;
	*ret_ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	return 0;
}

struct clocks {
	bool known[CPUS_MAX];
	int64_t ahead[CPUS_MAX];
};

/* Time asleep until the stop. */
static int asleep(struct tracees *tr, const struct tracee *t, struct clocks *c, uint64_t *ret)
{
	const struct wait_seen *seen = wait_seen_find(tr, t->tid);
	_cleanup_free_ char *text = NULL;
	uint64_t switches = 0;
	int64_t ns;
	int r;

	if (!seen || seen->nr != arch_syscall_nr(&t->regs) || (unsigned)seen->cpu >= CPUS_MAX)
		return -ENODATA;
	/* it has left its CPU of its own will once more, for our stop; any more, and it slept anew */
	r = file_read_at(tr->proc_fd, proc_task_path(t->tid, "sched").s, &text, NULL);
	if (r == 0)
		r = proc_sched_switches(text, &switches);
	if (r == 0 && switches != seen->switches + 1)
		r = -ESTALE;
	if (r == 0 && !c->known[seen->cpu])
		r = clock_ahead(seen->cpu, &c->ahead[seen->cpu]);
	if (r < 0)
		return r;
	c->known[seen->cpu] = true;
	ns = (int64_t)tr->stopped_at_ns + c->ahead[seen->cpu] - (int64_t)seen->exec_start_ns;
	*ret = ns < 0 ? 0 : (uint64_t)ns;
	return 0;
}

static int measure(struct tracees *tr, struct tracee *t, struct clocks *c)
{
	const struct wait_limit *l;
	uint64_t args[6], limit, gone = 0;
	int r = 0;

	for (int i = 0; i < 6; i++)
		args[i] = arch_syscall_arg(&t->regs, i);
	l = wait_limit_of(arch_syscall_nr(&t->regs), args);
	if (!l)
		return -ENODATA;
	if (t->continues && l->rest_arg >= 0 && args[l->rest_arg])
		return timespec_read(tr, args[l->rest_arg], &t->left_ns);
	if (t->limit_ns)
		limit = t->limit_ns;
	else if (l->form == WAIT_MILLISECONDS)
		limit = (uint64_t)(int32_t)args[l->arg] * NS_PER_MS;
	else
		r = timespec_read(tr, args[l->arg], &limit);
	if (r == 0 && t->begun)
		r = asleep(tr, t, c, &gone);
	if (r < 0 && t->limit_ns)
		r = 0; /* no more is left than the limit that it was given last */
	if (r == 0)
		t->left_ns = gone < limit ? limit - gone : 0;
	return r;
}

void waits_measure(struct tracees *tr)
{
	_cleanup_free_ struct clocks *c = calloc(1, sizeof(*c));

	for (size_t i = 0; c && i < tr->n; i++) {
		struct tracee *t = &tr->v[i];

		if (t->broken && !t->dead)
			t->left_known = measure(tr, t, c) == 0;
	}
}
