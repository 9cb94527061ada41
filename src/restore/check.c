/*
 * check.c - see check.h.
 */
#include "restore/check.h"

#include <stdio.h>
#include <sys/resource.h>

#include "kernel/probe.h"
#include "kernel/proc_limits.h"
#include "proto/rlimits.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/task/task.h"

static const char *comm_of(const struct plan *p, uint64_t pid)
{
	const Ckpt__Task *t = model_get(p->model, &res_task.type, pid);

	return t ? t->comm : "?";
}

static const char *limit_text(uint64_t v, char buf[24])
{
	if (v == RLIM_INFINITY)
		return "unlimited";
	snprintf(buf, 24, "%llu", (unsigned long long)v);
	return buf;
}

/* A limit that the kernel does not know is found by the plan. */
static int check_limits(const struct plan *p, const struct model_rec *rec)
{
	const Ckpt__RLimits *m = (const void *)rec->msg;

	for (size_t i = 0; i < m->n_limits; i++) {
		const Ckpt__RLimit *l = m->limits[i];
		struct rlimit own;
		char was[24], is[24];

		if (l->resource >= PROC_LIMITS || getrlimit(l->resource, &own) < 0 ||
			l->hard <= own.rlim_max)
			continue;
		return op_fail(p->op, CKPT_E_PRIVILEGE, 0, "prlimit",
			"run ckpt restore with CAP_SYS_RESOURCE, or with a hard limit that is as high",
			"pid %llu (%s): its hard limit %s is %s, that of ckpt %s",
			(unsigned long long)rec->owner, comm_of(p, rec->owner),
			proc_limits_name(l->resource), limit_text(l->hard, was),
			limit_text(own.rlim_max, is));
	}
	return 0;
}

int check_rights(const struct plan *p)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	if (kernel_has(FEATURE_CAP_SYS_RESOURCE))
		return 0;
	while (r == 0 && (rec = model_next(p->model, &res_rlimits.type, &pos)))
		r = check_limits(p, rec);
	return r;
}
