/*
 * Holds: in each of ten threads another way of being scheduled: niceness, SCHED_BATCH, SCHED_IDLE,
 * SCHED_FIFO, SCHED_RR with reset-on-fork, an affinity to one CPU, a timer slack, utilization clamps,
 * SCHED_DEADLINE, SCHED_FIFO with a niceness beneath; and the default. What a kernel or cgroup refuses
 * is not tested, and said.
 * Shows: Threads: "scheduling policy, priority, nice, CPU affinity, timer slack".
 */
#include "victim.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct sched_all {
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util_min, util_max;
	} attr;
	cpu_set_t cpus;
	long slack;
	int nice; /* also where the policy does not use it */
};

enum { SCHED_N = 10 };
static volatile int sched_up, sched_go;
static int sched_realtime = 1;

static void sched_get(struct sched_all *ret)
{
	memset(ret, 0, sizeof(*ret));
	MUST(syscall(SYS_sched_getattr, 0, &ret->attr, sizeof(ret->attr), 0));
	MUST(sched_getaffinity(0, sizeof(ret->cpus), &ret->cpus));
	ret->slack = MUST(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	ret->nice = getpriority(PRIO_PROCESS, 0);
}

static void sched_policy(int policy, int priority)
{
	struct sched_param p = {.sched_priority = priority};

	if (sched_setscheduler(0, policy, &p) == 0)
		return;
	/* Real time may be refused to a cgroup; what is refused is not tested, and said. */
	CHECK(priority, "sched_setscheduler(%d): %s", policy, strerror(errno));
	sched_realtime = 0;
}

/* By sched_setattr(2); `clamps`: instead of a deadline policy. */
static void sched_attr(int clamps)
{
	struct sched_all now;

	sched_get(&now);
	now.attr.size = sizeof(now.attr);
	if (clamps) {
		now.attr.flags |= 0x60; /* SCHED_FLAG_UTIL_CLAMP_MIN | _MAX */
		now.attr.util_min = 100;
		now.attr.util_max = 700;
	} else {
		now.attr.policy = SCHED_DEADLINE;
		now.attr.nice = 0;
		now.attr.runtime = 2000000;
		now.attr.deadline = 50000000;
		now.attr.period = 100000000;
	}
	if (syscall(SYS_sched_setattr, 0, &now.attr, 0) != 0)
		victim_say("%s are refused here, and not tested: %s",
			clamps ? "utilization clamps" : "deadlines", strerror(errno));
}

static void sched_one_cpu(void)
{
	cpu_set_t all, one;
	int last = 0;

	MUST(sched_getaffinity(0, sizeof(all), &all));
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all))
			last = i;
	CPU_ZERO(&one);
	CPU_SET(last, &one);
	MUST(sched_setaffinity(0, sizeof(one), &one));
}

static void sched_setup(int who)
{
	switch (who) {
	case 0:
		MUST(setpriority(PRIO_PROCESS, 0, 7));
		break;
	case 1:
		sched_policy(SCHED_BATCH, 0);
		MUST(setpriority(PRIO_PROCESS, 0, 3));
		break;
	case 2:
		sched_policy(SCHED_IDLE, 0);
		break;
	case 3:
		sched_policy(SCHED_FIFO, 11);
		break;
	case 4:
		sched_policy(SCHED_RR | SCHED_RESET_ON_FORK, 5);
		break;
	case 5:
		sched_one_cpu();
		break;
	case 6:
		MUST(prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0));
		break;
	case 7:
	case 8:
		sched_attr(who == 7);
		break;
	case 9:
		MUST(setpriority(PRIO_PROCESS, 0, 5));
		sched_policy(SCHED_FIFO, 2);
		break;
	}
}

static void sched_check(const struct sched_all *want, const struct sched_all *got, int who)
{
	CHECK(got->attr.policy == want->attr.policy && got->attr.priority == want->attr.priority &&
			got->attr.nice == want->attr.nice && got->attr.flags == want->attr.flags,
		"thread %d: expected policy %u priority %u nice %d flags %#lx, got %u %u %d %#lx",
		who, want->attr.policy, want->attr.priority, want->attr.nice, want->attr.flags,
		got->attr.policy, got->attr.priority, got->attr.nice, got->attr.flags);
	CHECK(CPU_EQUAL(&got->cpus, &want->cpus), "thread %d: affinity: expected %d CPUs, got %d",
		who, CPU_COUNT(&want->cpus), CPU_COUNT(&got->cpus));
	CHECK(got->nice == want->nice, "thread %d: expected niceness %d, got %d", who, want->nice,
		got->nice);
	CHECK(got->attr.util_min == want->attr.util_min &&
			got->attr.util_max == want->attr.util_max,
		"thread %d: expected clamps %u, %u, got %u, %u", who, want->attr.util_min,
		want->attr.util_max, got->attr.util_min, got->attr.util_max);
	CHECK(got->attr.runtime == want->attr.runtime &&
			got->attr.deadline == want->attr.deadline &&
			got->attr.period == want->attr.period,
		"thread %d: expected %lu of %lu every %lu, got %lu of %lu every %lu", who,
		want->attr.runtime, want->attr.deadline, want->attr.period, got->attr.runtime,
		got->attr.deadline, got->attr.period);
	CHECK(got->slack == want->slack, "thread %d: timer slack: expected %ld ns, got %ld", who,
		want->slack, got->slack);
}

static void *sched_thread(void *arg)
{
	int who = (int)(intptr_t)arg;
	struct sched_all before, after;

	sched_setup(who);
	sched_get(&before);
	__atomic_add_fetch(&sched_up, 1, __ATOMIC_SEQ_CST);
	while (!sched_go)
		usleep(2000);
	sched_get(&after);
	sched_check(&before, &after, who);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sched_all before, after;
	pthread_t t[SCHED_N];

	victim_init(argc, argv);
	for (int i = 0; i < SCHED_N; i++)
		t[i] = victim_thread(sched_thread, (void *)(intptr_t)i);
	while (sched_up < SCHED_N)
		usleep(1000);
	if (!sched_realtime)
		victim_say("real-time policies are refused here, and not tested");
	sched_get(&before);
	victim_ready();
	victim_wait();
	sched_get(&after);
	sched_check(&before, &after, -1);
	sched_go = 1;
	for (int i = 0; i < SCHED_N; i++)
		pthread_join(t[i], NULL);
	return 0;
}
