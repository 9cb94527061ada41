/*
 * policy.c - see policy.h.
 */
#include "inject/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/audit.h>
#include <sys/syscall.h>

#include "inject/tracees.h"
#include "kernel/proc.h"
#include "kernel/seccomp_bpf.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/parallel.h"
#include "util/vec.h"

#define FILTERS_MAX 4096

/* The mode alone: parsing the whole file for thousands of threads would be seen in the time stopped. */
static int mode_of(const char *status)
{
	const char *at = strstr(status, "\nSeccomp:");

	return at ? atoi(at + strlen("\nSeccomp:")) : 0;
}

static int filters_load(struct tracee *t, struct policy *p)
{
	size_t cap = 0;

	for (size_t i = 0; i < FILTERS_MAX; i++) {
		struct policy_filter f = {0};
		int r = ptrace_seccomp_filter(t->tid, i, &f.v, &f.n);

		if (r == -ENOENT)
			return 0;
		if (r == 0 && vec_reserve(&p->filters, &cap, p->n + 1, sizeof(f)) < 0) {
			free(f.v);
			r = -ENOMEM;
		}
		if (r < 0)
			return r;
		p->filters[p->n++] = f;
	}
	return -E2BIG;
}

static void filters_done(struct policy *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->filters[i].v);
	free(p->filters);
	p->filters = NULL;
	p->n = 0;
}

void policy_done(struct policy *p)
{
	filters_done(p);
	free(p->status);
	*p = (struct policy){0};
}

/* What is read before the mode of one is looked at, by all processors: the target is stopped. */
struct reading {
	struct tracees *tr;
	int *err; /* one per thread */
};

static void status_read(void *arg, size_t i)
{
	const struct reading *rd = arg;
	struct tracee *t = &rd->tr->v[i];
	char *text = NULL, *fit;
	size_t len;

	rd->err[i] = file_read_at(rd->tr->proc_fd, proc_task_path(t->tid, "status").s, &text, &len);
	if (rd->err[i] < 0)
		return;
	fit = realloc(text, len + 1);
	t->policy.status = fit ? fit : text;
}

static int filters_of(struct tracee *t)
{
	struct policy *p = &t->policy;
	int r, mode = mode_of(p->status);

	if (mode == SECCOMP_MODE_STRICT)
		p->kind = POLICY_STRICT;
	if (mode != SECCOMP_MODE_FILTER)
		return 0;
	p->kind = POLICY_FILTERS;
	r = filters_load(t, p);
	if (r == 0 || r == -ENOMEM)
		return r;
	filters_done(p);
	p->kind = POLICY_UNKNOWN;
	return 0;
}

int policy_load(struct tracees *tr)
{
	_cleanup_free_ int *err = calloc(tr->n + 1, sizeof(*err));
	int r = 0;

	if (!err)
		return -ENOMEM;
	for (size_t i = 0; i < tr->n; i++)
		policy_done(&tr->v[i].policy);
	parallel_each(tr->n, status_read, &(struct reading){tr, err});
	for (size_t i = 0; i < tr->n && r == 0; i++) {
		r = err[i] < 0 ? err[i] : filters_of(&tr->v[i]);
		tr->filtered |= tr->v[i].policy.kind != POLICY_NONE;
	}
	return r;
}

static bool filters_allow(const struct policy *p, const struct seccomp_data *data)
{
	uint32_t answer = SECCOMP_RET_ALLOW;

	for (size_t i = p->n; i-- > 0;) {
		uint32_t one;

		if (seccomp_bpf_run(p->filters[i].v, p->filters[i].n, data, &one) < 0)
			return false;
		answer = seccomp_bpf_stricter(answer, one);
	}
	answer &= SECCOMP_RET_ACTION_FULL;
	return answer == SECCOMP_RET_ALLOW || answer == SECCOMP_RET_LOG;
}

bool policy_allows(const struct policy *p, uint64_t ip, long nr, const uint64_t args[6])
{
	struct seccomp_data data = {.nr = (int)nr, .arch = ARCH_AUDIT, .instruction_pointer = ip};

	switch (p->kind) {
	case POLICY_NONE:
		return true;
	case POLICY_STRICT:
		return nr == SYS_read || nr == SYS_write || nr == SYS_exit ||
		       nr == SYS_rt_sigreturn;
	case POLICY_UNKNOWN:
		return false;
	case POLICY_FILTERS:
		break;
	}
	for (int i = 0; i < 6; i++)
		data.args[i] = args[i];
	return filters_allow(p, &data);
}
