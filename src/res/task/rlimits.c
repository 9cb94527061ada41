/*
 * rlimits.c - the resource limits of a process.
 *
 * They are read from /proc/PID/limits, as prlimit(2) asks for CAP_SYS_RESOURCE even to read those of
 * another user's process. They are set late, since a low limit of open files, address space or
 * locked memory would hamper the restore itself, but before credentials, as raising a hard limit takes
 * CAP_SYS_RESOURCE. Whether we may raise is checked before any task is made (restore/check.c).
 *
 * What counts against a limit begins anew: a process restored with RLIMIT_CPU has used no time yet.
 *
 * Source: getrlimit(2), proc(5).
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kernel/proc_limits.h"
#include "proto/rlimits.pb-c.h"
#include "res/task/task.h"

static int add(Ckpt__RLimits *m, uint32_t resource, uint64_t soft, uint64_t hard)
{
	Ckpt__RLimit *l = msg_new(Ckpt__RLimit, CKPT__RLIMIT__INIT);

	if (!l)
		return -1;
	l->resource = resource;
	l->soft = soft;
	l->hard = hard;
	m->limits[m->n_limits++] = l;
	return 0;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__RLimits *m;
	struct proc_limits limits;
	int r = proc_limits_read(c->proc_fd, &limits);

	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/limits", c->pid);
	m = msg_new(Ckpt__RLimits, CKPT__RLIMITS__INIT);
	if (!m || !(m->limits = calloc(PROC_LIMITS, sizeof(*m->limits)))) {
		free(m);
		return collect_oom(c);
	}
	for (unsigned i = 0; i < PROC_LIMITS; i++) {
		if (add(m, i, limits.v[i].soft, limits.v[i].hard) < 0) {
			protobuf_c_message_free_unpacked(&m->base, NULL);
			return collect_oom(c);
		}
	}
	return collect_add_take(c, &res_rlimits.type, c->pid, m);
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__RLimits *m = (const void *)rec->msg;

	if (phase != PLAN_LATE)
		return;
	for (size_t i = 0; i < m->n_limits; i++) {
		const Ckpt__RLimit *l = m->limits[i];
		struct rlimit rl = {l->soft, l->hard};
		const char *name = proc_limits_name(l->resource);

		PROG_CALL(prog, "rlimits: set", SYS_prlimit64, IMM(0), IMM(l->resource),
			DATA(prog_data(prog, &rl, sizeof(rl))), IMM(0));
		prog_object(prog, "%s %llu, at most %llu", name ? name : "?",
			(unsigned long long)l->soft, (unsigned long long)l->hard);
	}
}

const struct res res_rlimits = {
	.type = {"rlimits", SCOPE_TASK, &ckpt__rlimits__descriptor, NULL},
	.collect = collect,
	.plan = plan,
};
