/*
 * preflight.c - the order of the look, and its report.
 */
#include "dump/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump/preflight_look.h"
#include "kernel/mountinfo.h"
#include "kernel/proc.h"
#include "kernel/proc_locks.h"
#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"
#include "util/vec.h"

#define NAMED_MAX 100 /* offenders that one line of error names */

/* A terminal that all have inherited, and the group that they are in, are told of once. */
static bool told_once(const struct ckpt_explain_item *item)
{
	return item->verdict == CKPT_WARNED || str_eq(item->resource, "cgroup");
}

/* Whether an earlier process has the same. */
static bool told(const struct preflight_report *p, const struct ckpt_explain_item *item)
{
	for (size_t i = 0; told_once(item) && i < p->r.n; i++)
		if (p->r.items[i].verdict == item->verdict && p->r.items[i].pid != item->pid &&
			p->r.items[i].reason == item->reason &&
			str_eq(p->r.items[i].object, item->object))
			return true;
	return false;
}

int look_push(struct look *l, struct ckpt_explain_item *item)
{
	struct preflight_report *p = l->report;
	bool twice = told(p, item);

	if (twice || vec_reserve(&p->r.items, &p->cap, p->r.n + 1, sizeof(*item)) < 0) {
		free(item->object);
		free(item->option);
		return twice ? 0
			     : op_fail(l->op, CKPT_E_SPACE, ENOMEM, "preflight", NULL, "pid %d",
				       l->pid);
	}
	p->r.saved += item->verdict == CKPT_SAVED;
	p->r.warned += item->verdict == CKPT_WARNED;
	p->r.refused += item->verdict == CKPT_REFUSED;
	p->r.items[p->r.n++] = *item;
	return 0;
}

int look_found(struct look *l, const struct look_kind *kind, const char *object, ...)
{
	struct preflight_report *p = l->report;
	struct ckpt_explain_item item = {
		kind->verdict, l->pid, kind->resource, NULL, kind->reason, kind->advice, NULL};
	struct strbuf sb = {};
	va_list ap;

	if (kind->verdict == CKPT_SAVED && !p->deep) {
		p->r.saved++;
		return 0;
	}
	va_start(ap, object);
	strbuf_vaddf(&sb, object, ap);
	va_end(ap);
	if (strbuf_take(&sb, &item.object) < 0)
		return op_fail(l->op, CKPT_E_SPACE, ENOMEM, "preflight", NULL, "pid %d", l->pid);
	if (item.verdict == CKPT_REFUSED && l->fd >= 0 &&
		asprintf(&item.option, "--fd %d:%d=close", l->pid, l->fd) < 0)
		item.option = NULL;
	return look_push(l, &item);
}

/* A link of a process that has ended is EACCES, to whomever. */
static bool has_ended(pid_t pid)
{
	_cleanup_close_ int procfd = proc_open(pid);
	struct proc_stat st;

	return procfd < 0 || proc_stat_read(procfd, 0, &st) < 0 || st.state == 'Z' ||
	       st.flags & PROC_PF_EXITING;
}

int look_fail(struct look *l, int err, const char *what)
{
	if (err < 0)
		err = -err;
	if (l->parent && (err == ESRCH || err == ENOENT || has_ended(l->pid))) {
		l->gone = true;
		return -ESRCH;
	}
	if (err == ESRCH || err == ENOENT)
		return op_fail(
			l->op, CKPT_E_TARGET, ESRCH, what, NULL, "pid %d (%s)", l->pid, l->comm);
	op_target(l->op, CKPT_TARGET_RUNNING);
	if (err == EACCES || err == EPERM)
		return op_fail(l->op, CKPT_E_PRIVILEGE, err, what,
			geteuid() == 0 ? "it has a right that ckpt lacks, or is protected from it: "
					 "`ckpt check` lists what is missing"
				       : "run ckpt as root, or as the user who owns the process",
			"pid %d (%s)", l->pid, l->comm);
	return op_fail(l->op, CKPT_E_SYSTEM, err, what, NULL, "pid %d (%s)", l->pid, l->comm);
}

int look_add(struct look *l, pid_t parent, pid_t pid)
{
	struct look_tree *t = l->tree;

	if (vec_reserve(&t->v, &t->cap, t->n + 1, sizeof(*t->v)) < 0)
		return op_fail(l->op, CKPT_E_SPACE, ENOMEM, "preflight", NULL, "pid %d", pid);
	t->v[t->n].pid = pid;
	t->v[t->n++].parent = parent;
	return 0;
}

static int look_all(struct look *l)
{
	static int (*const parts[])(struct look *) = {
		look_task, /* first: it may end the look */
		look_threads,
		look_namespaces,
		look_cgroup,
		look_files,
		look_memory,
		look_ipc,
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
		r = parts[i](l);
	return r < 0 ? r : 0;
}

static int look_process(struct look *l)
{
	_cleanup_close_ int procfd = proc_open_alive(l->pid, &l->tid);
	int r;

	if (procfd == -ESRCH && !l->parent)
		return op_fail(l->op, CKPT_E_TARGET, ESRCH, NULL, NULL, "pid %d", l->pid);
	if (procfd < 0)
		return look_fail(l, procfd, "open /proc/PID");
	l->procfd = procfd;
	r = look_all(l);
	return r;
}

/* @arg: the place of the first */
static int look_one(struct look *l, size_t i, void *arg)
{
	const size_t *first = arg;
	int r;

	l->pid = l->tree->outer->v[*first + i].pid;
	l->parent = l->tree->outer->v[*first + i].parent;
	r = look_process(l);
	return r < 0 && l->gone ? 0 : r;
}

/* Each process adds its children behind those that are known: one generation after the other. */
static int look_generations(struct look *l)
{
	int r = 0;

	for (size_t first = 0, end; r == 0 && first < l->tree->n; first = end) {
		end = l->tree->n;
		r = look_parts(l, end - first, look_one, &first);
	}
	return r;
}

static int note_pids(struct look *l)
{
	struct preflight_report *p = l->report;

	p->pids = calloc(l->tree->n + 1, sizeof(*p->pids));
	if (!p->pids)
		return look_fail(l, ENOMEM, "preflight");
	for (size_t i = 0; i < l->tree->n; i++)
		p->pids[p->n_pids++] = l->tree->v[i].pid;
	return 0;
}

static int look_at(struct ckpt_op *op, pid_t pid, struct fdpolicy *policy, bool deep,
	struct preflight_report *ret)
{
	struct look_tree tree = {.policy = policy};
	struct look l = {.op = op, .report = ret, .tree = &tree, .pid = pid, .comm = "?", .fd = -1};
	uint64_t start = now_ns();
	int r = look_add(&l, 0, pid);

	*ret = (struct preflight_report){.deep = deep};
	ret->r.pid = pid;
	if (mountinfo_read(&tree.mounts) < 0)
		mount_list_done(&tree.mounts); /* then each name is looked at */
	tree.breaking = proc_locks_breaking();
	if (r == 0)
		r = look_own_namespaces(&l);
	if (r == 0)
		r = look_generations(&l);
	if (r == 0)
		r = look_pipes(&l);
	if (r == 0)
		r = look_terminals(&l);
	if (r == 0)
		r = look_unix_socks(&l);
	if (r == 0)
		r = look_connections(&l);
	if (r == 0)
		r = note_pids(&l);
	free(tree.v);
	free(tree.pipes);
	free(tree.unix_socks);
	free(tree.tcp);
	free(tree.own_ns);
	free(tree.cgroup);
	mount_list_done(&tree.mounts);
	look_terminals_done(&tree);
	ret->r.total_ns = now_ns() - start;
	return r;
}

int preflight(struct ckpt_op *op, pid_t pid, struct fdpolicy *policy, struct preflight_report *ret)
{
	return look_at(op, pid, policy, false, ret);
}

int preflight_deep(
	struct ckpt_op *op, pid_t pid, struct fdpolicy *policy, struct preflight_report *ret)
{
	return look_at(op, pid, policy, true, ret);
}

/* The advice of the offenders, where it is the same for all of them. */
static const char *common_advice(const struct preflight_report *report)
{
	const char *advice = NULL;

	for (size_t i = 0; i < report->r.n; i++) {
		const struct ckpt_explain_item *item = &report->r.items[i];

		if (item->verdict != CKPT_REFUSED)
			continue;
		if (!item->advice || (advice && strcmp(advice, item->advice)))
			return NULL;
		advice = item->advice;
	}
	return advice;
}

static bool any_advice(const struct preflight_report *report)
{
	for (size_t i = 0; i < report->r.n; i++)
		if (report->r.items[i].verdict == CKPT_REFUSED && report->r.items[i].advice)
			return true;
	return false;
}

/* The kind of all offenders, where they are several descriptors of one. */
static const char *common_kind(const struct preflight_report *report)
{
	const char *kind = NULL;
	size_t n = 0;

	for (size_t i = 0; i < report->r.n; i++) {
		const struct ckpt_explain_item *item = &report->r.items[i];

		if (item->verdict != CKPT_REFUSED)
			continue;
		if (!item->option || (kind && !str_eq(kind, item->resource)))
			return NULL;
		kind = item->resource;
		n++;
	}
	return n > 1 ? kind : NULL;
}

/* What is refused is the process itself, not something that it holds: then the look ended there. */
static bool is_impossible(const struct preflight_report *report, const char **ret_reason)
{
	const struct ckpt_explain_item *item = report->r.items;

	*ret_reason = report->r.n == 1 ? item->reason : NULL;
	return report->r.n == 1 && str_eq(item->resource, "process");
}

int preflight_refuse(struct ckpt_op *op, const struct preflight_report *report)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	_cleanup_free_ char *advice = NULL;
	const struct ckpt_explain_result *r = &report->r;
	const char *common = common_advice(report), *reason, *kind;
	size_t named = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct ckpt_explain_item *item = &r->items[i];

		if (item->verdict == CKPT_SAVED)
			op_debug(op, "pid %d: %s %s: can be saved", item->pid, item->resource,
				item->object);
		if (item->verdict == CKPT_WARNED)
			op_info(op, "pid %d: %s: %s", item->pid, item->object, item->reason);
		if (item->verdict != CKPT_REFUSED || ++named > NAMED_MAX)
			continue;
		strbuf_addf(&sb, "%s", named > 1 ? ", " : "");
		if (item->pid != r->pid)
			strbuf_addf(&sb, "pid %d: ", item->pid);
		strbuf_addf(&sb, "%s (%s%s%s)", item->object, item->reason,
			item->option ? "; " : "", item->option ? item->option : "");
	}
	if (!named)
		return 0;
	if (named > NAMED_MAX)
		strbuf_addf(&sb, ", and %zu more", named - NAMED_MAX);
	kind = common_kind(report);
	if (kind && asprintf(&advice, "--resource %s=close lets all of them pass", kind) < 0)
		advice = NULL;
	if (!kind && !common && any_advice(report) &&
		asprintf(&advice, "'ckpt explain -t %d' says what to do",
			op->pid_asked ? op->pid_asked : r->pid) < 0)
		advice = NULL;
	if (is_impossible(report, &reason))
		return op_fail(op, CKPT_E_REFUSED, 0, NULL, NULL, "pid %d (%s) can't be saved: %s",
			r->pid, r->comm ? r->comm : "?", reason);
	op_target(op, CKPT_TARGET_RUNNING);
	return op_fail(op, CKPT_E_REFUSED, 0, NULL, advice ? advice : common,
		"%spid %d (%s) holds what can't be saved: %s", r->tasks > 1 ? "the tree of " : "",
		r->pid, r->comm ? r->comm : "?", sb.s ? sb.s : "");
}

/* Of the public interface; here because a report is made of such a result. */
void ckpt_explain_result_done(struct ckpt_explain_result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->items[i].object);
		free(r->items[i].option);
	}
	free(r->items);
	free(r->comm);
	*r = (struct ckpt_explain_result){};
}

void preflight_done(struct preflight_report *report)
{
	ckpt_explain_result_done(&report->r);
	free(report->pids);
	free(report->listeners);
	*report = (struct preflight_report){};
}
