/*
 * sched.c - how a thread is scheduled: policy, niceness, affinity, timer slack, io priority.
 *
 * All of it but the timer slack is read from outside. The thread is asked for that; where a seccomp filter
 * is in force, which may not allow it, it stands in /proc/TID/timerslack_ns, at ten times the cost: that
 * file exists for a process only, but /proc/TID is one for any thread (Linux >= 4.6, CAP_SYS_NICE).
 * Affinity to every CPU that there is means "never pinned" and is told as such, for a host with more.
 *
 * Restored before credentials: real-time policies and io classes need CAP_SYS_NICE.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/sched.pb-c.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define CPUS_BYTES         1024 /* 8192 CPUs, the kernel's largest */
#define ATTR_SIZE_NO_CLAMP 48
#define FLAG_RESET_ON_FORK 0x01
#define FLAG_CLAMPS        0x60 /* SCHED_FLAG_UTIL_CLAMP_MIN | _MAX */
#define CLAMP_MAX          1024

/* struct sched_attr, of sched_setattr(2); with clamps since Linux 5.3 */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

/* ------------------------------------------------------------------ collect */

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	if (!c->tr->filtered)
		PROG_CALL_RET(p, "sched: timer slack", SYS_prctl, IMM(PR_GET_TIMERSLACK));
}

static uint64_t timer_slack(pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", tid);
	if (file_read_at(AT_FDCWD, path, &text, NULL) < 0)
		return 0;
	return strtoull(text, NULL, 10);
}

/* What the kernel answers for a thread that never set one: after its niceness and policy. */
static uint32_t ioprio_implied(const Ckpt__Sched *m)
{
	if (m->policy == SCHED_FIFO || m->policy == SCHED_RR)
		return IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, (m->nice + 20) / 5);
	if (m->policy == SCHED_IDLE)
		return IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, (m->nice + 20) / 5);
	return IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, (m->nice + 20) / 5);
}

static uint32_t ioprio_of(pid_t tid, const Ckpt__Sched *m)
{
	long value = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);

	if (value <= 0 || IOPRIO_PRIO_CLASS(value) == IOPRIO_CLASS_NONE ||
		(uint32_t)value == ioprio_implied(m))
		return 0;
	return (uint32_t)value;
}

static bool all_cpus(const uint8_t *cpus, size_t len, long n)
{
	long have = 0;

	for (size_t i = 0; i < len; i++)
		have += __builtin_popcount(cpus[i]);
	return have >= n;
}

/* sched_getattr(2) tells a niceness only where the policy makes use of it. */
static int32_t niceness(const struct attr *attr, pid_t tid)
{
	long nice; /* 20 - niceness */

	if (attr->policy != SCHED_FIFO && attr->policy != SCHED_RR &&
		attr->policy != SCHED_DEADLINE)
		return attr->nice;
	nice = syscall(SYS_getpriority, PRIO_PROCESS, tid);
	return nice > 0 ? 20 - (int32_t)nice : attr->nice;
}

/* All but the timer slack. */
static int fill(const struct collect *c, Ckpt__Sched *m, pid_t tid)
{
	struct attr attr = {0};
	uint8_t cpus[CPUS_BYTES];
	long len;

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return -errno;
	len = syscall(SYS_sched_getaffinity, tid, sizeof(cpus), cpus);
	if (len < 0)
		return -errno;
	m->policy = attr.policy;
	m->flags = attr.flags;
	m->nice = niceness(&attr, tid);
	m->priority = attr.priority;
	if (attr.policy == SCHED_DEADLINE) {
		m->runtime_ns = attr.runtime;
		m->deadline_ns = attr.deadline;
		m->period_ns = attr.period;
	}
	if (attr.util_min > 0 || (attr.util_max > 0 && attr.util_max < CLAMP_MAX)) {
		m->util_min = attr.util_min;
		m->util_max = attr.util_max;
	}
	m->ioprio = ioprio_of(tid, m);
	if (all_cpus(cpus, (size_t)len, c->n_cpus))
		return 0;
	while (len > 0 && cpus[len - 1] == 0)
		len--;
	m->cpus = msg_bytes(cpus, (size_t)len);
	return m->cpus.data ? 0 : -ENOMEM;
}

static bool same(const Ckpt__Sched *a, const Ckpt__Sched *b)
{
	return a->policy == b->policy && a->flags == b->flags && a->nice == b->nice &&
	       a->priority == b->priority && a->runtime_ns == b->runtime_ns &&
	       a->deadline_ns == b->deadline_ns && a->period_ns == b->period_ns &&
	       a->util_min == b->util_min && a->util_max == b->util_max &&
	       a->timer_slack_ns == b->timer_slack_ns && a->ioprio == b->ioprio &&
	       a->cpus.len == b->cpus.len &&
	       (a->cpus.len == 0 || memcmp(a->cpus.data, b->cpus.data, a->cpus.len) == 0);
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	pid_t first = tracees_leader(c->tr)->tid;
	const Ckpt__Sched *base = model_get(c->model, &res_sched.type, first);
	Ckpt__Sched *m = msg_new(Ckpt__Sched, CKPT__SCHED__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	m->timer_slack_ns = c->tr->filtered ? timer_slack(t->tid) : (uint64_t)answer_ret(a, 0);
	r = fill(c, m, t->tid);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r == -ENOMEM
			       ? collect_oom(c)
			       : op_fail(c->op, CKPT_E_SYSTEM, -r, "sched_getattr", NULL,
					 "pid %d (%s): thread %d", c->pid, c->tr->comm, t->tid);
	}
	if (base && same(base, m)) {
		free(m->cpus.data);
		*m = (Ckpt__Sched)CKPT__SCHED__INIT;
		m->like = first;
	}
	return collect_add_take(c, &res_sched.type, t->tid, m);
}

ProtobufCMessage *sched_own(void)
{
	const struct collect c = {.n_cpus = sysconf(_SC_NPROCESSORS_ONLN)};
	Ckpt__Sched *m = msg_new(Ckpt__Sched, CKPT__SCHED__INIT);

	/* what is reset by a fork is not what a new task has */
	if (!m || fill(&c, m, gettid()) < 0 || m->flags & FLAG_RESET_ON_FORK) {
		if (m)
			protobuf_c_message_free_unpacked(&m->base, NULL);
		return NULL;
	}
	m->timer_slack_ns = (uint64_t)syscall(SYS_prctl, PR_GET_TIMERSLACK);
	return &m->base;
}

/* ------------------------------------------------------------------ plan */

static void warn_cpus(struct plan *p, const Ckpt__Sched *m, uint64_t tid)
{
	size_t cpu = m->cpus.len ? m->cpus.len * 8 - 1 : 0;

	while (cpu > 0 && !(m->cpus.data[cpu / 8] & 1 << cpu % 8))
		cpu--;
	if (p->n_cpus && cpu >= p->n_cpus && !p->describe)
		op_warn(p->op,
			"thread %llu was bound to CPU %zu too, which is not here: the others remain",
			(unsigned long long)tid, cpu);
}

/* To all first: where none of the thread's CPUs is here, it can run on any. */
static void plan_affinity(struct plan *p, struct prog *prog, const Ckpt__Sched *m)
{
	size_t len = p->n_cpus ? ALIGN_UP(p->n_cpus, 64) / 8 : CPUS_BYTES;
	uint8_t all[CPUS_BYTES];

	len = len < CPUS_BYTES ? len : CPUS_BYTES;
	memset(all, 0xff, len);
	PROG_CALL(prog, "sched: any CPU", SYS_sched_setaffinity, IMM(0), IMM(len),
		DATA(prog_data(prog, all, len)));
	if (!m->cpus.len)
		return;
	PROG_CALL_ANY(prog, "sched: CPUs", SYS_sched_setaffinity, IMM(0), IMM(m->cpus.len),
		DATA(prog_data(prog, m->cpus.data, m->cpus.len)));
}

static void plan_policy(struct prog *prog, const Ckpt__Sched *m)
{
	struct attr attr = {.size = ATTR_SIZE_NO_CLAMP,
		.policy = m->policy,
		.flags = m->flags,
		.nice = m->nice,
		.priority = m->priority,
		.runtime = m->runtime_ns,
		.deadline = m->deadline_ns,
		.period = m->period_ns};

	if (m->util_min || m->util_max) {
		attr.size = sizeof(attr);
		attr.flags |= FLAG_CLAMPS;
		attr.util_min = m->util_min;
		attr.util_max = m->util_max;
	}
	/* a niceness is kept, and shown, under policies that do not use it */
	PROG_CALL(
		prog, "sched: niceness", SYS_setpriority, IMM(PRIO_PROCESS), IMM(0), IMM(m->nice));
	prog_object(prog, "%d", m->nice);
	PROG_CALL(prog, "sched: policy", SYS_sched_setattr, IMM(0),
		DATA(prog_data(prog, &attr, sizeof(attr))), IMM(0));
	prog_object(prog, "%u, priority %u", m->policy, m->priority);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Sched *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	if (m->like)
		m = model_get(p->model, &res_sched.type, m->like);
	if (!m || m->like || m->cpus.len > CPUS_BYTES) {
		prog->err = op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"sched of thread %llu", (unsigned long long)rec->owner);
		return;
	}
	if (thread_as_own(&m->base, p->own_sched))
		return;
	warn_cpus(p, m, rec->owner);
	plan_affinity(p, prog, m);
	plan_policy(prog, m);
	if (m->timer_slack_ns)
		PROG_CALL(prog, "sched: timer slack", SYS_prctl, IMM(PR_SET_TIMERSLACK),
			IMM(m->timer_slack_ns));
	if (m->ioprio)
		PROG_CALL(prog, "sched: io priority", SYS_ioprio_set, IMM(IOPRIO_WHO_PROCESS),
			IMM(0), IMM(m->ioprio));
}

const struct res res_sched = {
	.type = {"sched", SCOPE_THREAD, &ckpt__sched__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};
