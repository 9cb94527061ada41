/*
 * preflight_parts.c - looks side by side: each has lists and a report of its own, which are put together
 * in their order when all are done.
 */
#include "dump/preflight_look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/parallel.h"
#include "util/vec.h"

#define PARTS_WORTH 8 /* for which a thread more is made */

struct part {
	struct look l;
	struct look_tree tree;
	struct preflight_report report;
	int r;
};

struct parts {
	struct part *v;
	look_part *one;
	void *arg;
};

static void part_run(void *arg, size_t i)
{
	const struct parts *p = arg;

	p->v[i].r = p->one(&p->v[i].l, i, p->arg);
}

/* All of one array behind those of another. */
static int append(void *to, size_t *n, size_t *cap, const void *from, size_t from_n, size_t elem)
{
	uint8_t *v;
	int r = vec_reserve(to, cap, *n + from_n, elem);

	memcpy(&v, to, sizeof(v));
	if (r == 0 && from_n)
		memcpy(v + *n * elem, from, from_n * elem);
	*n += r == 0 ? from_n : 0;
	return r;
}

static int take_lists(struct look *l, struct look_tree *from)
{
	struct look_tree *to = l->tree;
	int r = append(&to->v, &to->n, &to->cap, from->v, from->n, sizeof(*to->v));

	if (r == 0)
		r = append(&to->unix_socks, &to->n_unix, &to->cap_unix, from->unix_socks,
			from->n_unix, sizeof(*to->unix_socks));
	if (r == 0)
		r = append(&to->tcp, &to->n_tcp, &to->cap_tcp, from->tcp, from->n_tcp,
			sizeof(*to->tcp));
	if (r == 0)
		r = append(&to->pipes, &to->n_pipes, &to->cap_pipes, from->pipes, from->n_pipes,
			sizeof(*to->pipes));
	if (r == 0)
		r = append(&to->terminals, &to->n_terminals, &to->cap_terminals, from->terminals,
			from->n_terminals, sizeof(*to->terminals));
	if (r < 0)
		return op_fail(l->op, CKPT_E_SPACE, ENOMEM, "preflight", NULL, "pid %d", l->pid);
	from->n_terminals = 0; /* their texts have gone over */
	return 0;
}

static int take_report(struct look *l, struct preflight_report *from)
{
	struct preflight_report *to = l->report;
	size_t n = from->r.n;
	int r = 0;

	to->r.tasks += from->r.tasks;
	to->r.threads += from->r.threads;
	to->r.saved += from->deep ? 0 : from->r.saved; /* else they are items */
	if (!to->r.comm)
		to->r.comm = TAKE_PTR(from->r.comm);
	from->r.n = 0;
	if (append(&to->listeners, &to->n_listeners, &to->cap_listeners, from->listeners,
		    from->n_listeners, sizeof(*to->listeners)) < 0)
		r = look_fail(l, ENOMEM, "preflight");
	for (size_t i = 0; i < n; i++) {
		struct ckpt_explain_item *item = &from->r.items[i];

		if (r == 0) {
			r = look_push(l, item);
			continue;
		}
		free(item->object);
		free(item->option);
	}
	return r;
}

static void part_done(struct part *k)
{
	preflight_done(&k->report);
	free(k->tree.v);
	free(k->tree.pipes);
	free(k->tree.unix_socks);
	free(k->tree.tcp);
	look_terminals_done(&k->tree);
	free(k->tree.cgroup);
}

int look_parts(struct look *l, size_t n, look_part *one, void *arg)
{
	_cleanup_free_ struct part *v = calloc(n + 1, sizeof(*v));
	int r = v ? 0 : look_fail(l, ENOMEM, "preflight");

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		v[i].l = *l;
		v[i].l.tree = &v[i].tree;
		v[i].l.report = &v[i].report;
		v[i].tree = (struct look_tree){.outer = l->tree,
			.policy = l->tree->policy,
			.mounts = l->tree->mounts,
			.own_ns = l->tree->own_ns,
			.breaking = l->tree->breaking,
			.plain = l->tree->plain,
			.plain_dev = l->tree->plain_dev};
		v[i].report.deep = l->report->deep;
	}
	parallel_each_of(n, PARTS_WORTH, part_run, &(struct parts){v, one, arg});
	for (size_t i = 0; i < n; i++) {
		if (r == 0) {
			l->gone |= v[i].r < 0 && v[i].l.gone;
			l->tree->plain = v[i].tree.plain;
			l->tree->plain_dev = v[i].tree.plain_dev;
			r = v[i].r;
		}
		if (r == 0)
			r = take_lists(l, &v[i].tree);
		if (r == 0)
			r = take_report(l, &v[i].report);
		if (r == 0 && v[i].tree.cgroup) {
			free(l->tree->cgroup);
			l->tree->cgroup = TAKE_PTR(v[i].tree.cgroup);
		}
		part_done(&v[i]);
	}
	return r;
}
