/*
 * check.c - see check.h.
 */
#include "restore/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#include "kernel/probe.h"
#include "kernel/proc_limits.h"
#include "proto/procfile.pb-c.h"
#include "proto/rlimits.pb-c.h"
#include "proto/task.pb-c.h"
#include "res/task/task.h"
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

/* An out-of-memory score below ours: allowed down to where a privileged process has put ours. */
static void check_oom(const struct plan *p, const struct model_rec *rec)
{
	const Ckpt__ProcFile *m = (const void *)rec->msg;
	_cleanup_free_ char *text = NULL;
	const char *at;
	int own;

	if (file_read_at(AT_FDCWD, "/proc/self/oom_score_adj", &text, NULL) < 0)
		return;
	at = text;
	if (str_int(&at, &own) == 0 && m->oom_score_adj < own)
		op_warn(p->op,
			"pid %llu (%s): without CAP_SYS_RESOURCE its oom_score_adj may stay at %d "
			"instead of %d",
			(unsigned long long)rec->owner, comm_of(p, rec->owner), own,
			m->oom_score_adj);
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
	pos = 0;
	while (r == 0 && (rec = model_next(p->model, &res_procfile.type, &pos)))
		check_oom(p, rec);
	return r;
}
