/*
 * check.c - see check.h.
 */
#include "restore/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/resource.h>

#include "kernel/probe.h"
#include "kernel/proc.h"
#include "kernel/proc_limits.h"
#include "kernel/proc_status.h"
#include "proto/creds.pb-c.h"
#include "proto/procfile.pb-c.h"
#include "proto/rlimits.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/task/task.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

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
static int check_limits(
	const struct plan *p, const struct model_rec *rec, const struct rlimit own[PROC_LIMITS])
{
	const Ckpt__RLimits *m = (const void *)rec->msg;

	for (size_t i = 0; i < m->n_limits; i++) {
		const Ckpt__RLimit *l = m->limits[i];
		char was[24], is[24];

		if (l->resource >= PROC_LIMITS || l->hard <= own[l->resource].rlim_max)
			continue;
		return op_fail(p->op, CKPT_E_PRIVILEGE, 0, "prlimit",
			"run ckpt restore with CAP_SYS_RESOURCE, or with a hard limit that is as high",
			"pid %llu (%s): its hard limit %s is %s, that of ckpt %s",
			(unsigned long long)rec->owner, comm_of(p, rec->owner),
			proc_limits_name(l->resource), limit_text(l->hard, was),
			limit_text(own[l->resource].rlim_max, is));
	}
	return 0;
}

/* An out-of-memory score below ours: allowed down to where a privileged process has put ours. */
static void check_oom(const struct plan *p, const struct model_rec *rec)
{
	const Ckpt__ProcFile *m = (const void *)rec->msg;
	const int *own = p->own_oom_score_adj;

	if (own && m->oom_score_adj < *own)
		op_warn(p->op,
			"pid %llu (%s): without CAP_SYS_RESOURCE its oom_score_adj may stay at %d "
			"instead of %d",
			(unsigned long long)rec->owner, comm_of(p, rec->owner), *own,
			m->oom_score_adj);
}

/* The lowest capability of a set, by name. */
static const char *cap_text(uint64_t set, char buf[32])
{
	int cap = __builtin_ctzll(set);
	char *name = cap_to_name(cap);

	snprintf(buf, 32, "%s (%d)", name ? name : "capability", cap);
	cap_free(name);
	return buf;
}

/* Nobody gets a capability that its maker does not have; less of the bounding set is only less. */
static int check_caps(
	const struct plan *p, const struct model_rec *rec, const struct proc_status *own)
{
	const Ckpt__Creds *m = (const void *)rec->msg;
	uint64_t lacks = m->permitted & ~own->cap_permitted;
	uint64_t bounds = m->bounding & ~own->cap_bounding;
	char name[32];

	if (lacks)
		return op_fail(p->op, CKPT_E_PRIVILEGE, EPERM, "capset",
			"run ckpt restore with this capability",
			"thread %llu had the capability %s, which ckpt lacks",
			(unsigned long long)rec->owner, cap_text(lacks, name));
	if (bounds)
		op_warn(p->op, "thread %llu gets no %s into its bounding set, which ckpt lacks",
			(unsigned long long)rec->owner, cap_text(bounds, name));
	return 0;
}

static int check_creds(const struct plan *p)
{
	_cleanup_close_ int proc_fd = proc_open(0);
	const struct model_rec *rec;
	struct proc_status own = {0};
	size_t pos = 0;
	int r = proc_fd < 0 ? proc_fd : proc_status_read(proc_fd, 0, &own);

	if (r < 0)
		return op_fail(p->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/self/status");
	if (own.seccomp > 0)
		op_warn(p->op, "ckpt runs under a seccomp filter, which the program inherits");
	while (r == 0 && (rec = model_next(p->model, &res_creds.type, &pos)))
		r = check_caps(p, rec, &own);
	proc_status_done(&own);
	return r;
}

int check_rights(const struct plan *p)
{
	struct rlimit own[PROC_LIMITS];
	const struct model_rec *rec;
	size_t pos = 0;
	int r = check_creds(p);

	if (r < 0 || kernel_has(FEATURE_CAP_SYS_RESOURCE))
		return r;
	for (int i = 0; i < PROC_LIMITS; i++)
		if (getrlimit(i, &own[i]) < 0)
			own[i].rlim_max = RLIM_INFINITY;
	while (r == 0 && (rec = model_next(p->model, &res_rlimits.type, &pos)))
		r = check_limits(p, rec, own);
	pos = 0;
	while (r == 0 && (rec = model_next(p->model, &res_procfile.type, &pos)))
		check_oom(p, rec);
	return r;
}
