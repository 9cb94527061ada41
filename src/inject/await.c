/*
 * await.c - see await.h.
 */
#include "inject/await.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>

#include "util/clock.h"
#include "util/vec.h"

#define AWAKE_NS    50000ULL /* of other processors' time; the wake of an idle one is less */
#define STEP_NS     4000ULL
#define YIELDS      3
#define DOZE_NS     20000ULL
#define DOZE_MAX_NS 10000000ULL

/* With a single processor what we wait for runs only when we don't. */
static bool alone(void)
{
	static int cpus; /* 0: not yet known */
	cpu_set_t set;

	if (!cpus)
		cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 2;
	return cpus == 1;
}

static void doze(uint64_t ns)
{
	const struct timespec ts = {.tv_nsec = (long)ns};

	nanosleep(&ts, NULL);
}

/* Look until it has stopped or the time is over. */
static int look_awake(pid_t tid, struct wait_status *ret)
{
	uint64_t end = now_ns() + (alone() ? 0 : AWAKE_NS);
	int r;

	do {
		r = ptrace_wait(tid, WNOHANG, ret);
	} while (r == -EAGAIN && now_ns() < end);
	return r;
}

int await_stop(pid_t tid, struct wait_status *ret)
{
	int r = look_awake(tid, ret);

	return r == -EAGAIN ? ptrace_wait(tid, 0, ret) : r;
}

int await_stop_timed(pid_t tid, uint64_t limit_ns, struct wait_status *ret)
{
	uint64_t end = now_ns() + limit_ns;
	int r = look_awake(tid, ret);

	for (unsigned i = 0; r == -EAGAIN; i++) {
		if (now_ns() > end)
			return -ETIMEDOUT;
		if (i < YIELDS)
			sched_yield();
		else
			doze(DOZE_NS);
		r = ptrace_wait(tid, WNOHANG, ret);
	}
	return r;
}

void await_progress(unsigned *rounds)
{
	unsigned i = (*rounds)++;
	uint64_t ns = STEP_NS << MIN(i, 20U), end = now_ns() + ns;

	if (ns > AWAKE_NS)
		doze(MIN(ns, DOZE_MAX_NS));
	else if (alone())
		sched_yield();
	else
		while (now_ns() < end)
			;
}
