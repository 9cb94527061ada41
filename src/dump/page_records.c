/*
 * page_records.c - see page_records.h.
 */
#include "dump/page_records.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/core.pb-c.h"
#include "proto/pages.pb-c.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define PAGE 4096UL

/* A run of a record to be. */
struct entry {
	uint32_t want;
	uint64_t start, end;
	const struct run *run; /* NULL: an alias */
	pid_t of;
};

struct records {
	struct collect_tree *t;
	const struct run *own; /* sorted */
	struct own_runs {
		size_t first, n;
	} * of_task; /* its memory */
	struct entry *v;
	size_t n, cap;
};

static int by_want_and_start(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->want != y->want)
		return x->want < y->want ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->want != y->want)
		return x->want < y->want ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

static uint64_t run_end(const struct run *r)
{
	return r->start + r->pages * PAGE;
}

static int add_entry(struct records *k, const struct entry *e)
{
	if (vec_reserve(&k->v, &k->cap, k->n + 1, sizeof(*k->v)) < 0)
		return op_fail(k->t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the list of pages");
	k->v[k->n++] = *e;
	return 0;
}

/* ------------------------------------------------------------------ aliases */

/* The wants are sorted, and so are the runs: those of a task follow each other by address. */
static int find_tasks(struct records *k, size_t n)
{
	k->of_task = calloc(k->t->n_tasks + 1, sizeof(*k->of_task));
	if (!k->of_task)
		return op_fail(k->t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the list of pages");
	for (size_t i = 0; i < n; i++) {
		const struct page_want *want = &k->t->wants[k->own[i].want];
		struct own_runs *of = &k->of_task[want->of - k->t->tasks];

		if (want->fd >= 0)
			continue;
		if (!of->n++)
			of->first = i;
	}
	return 0;
}

/* The first run of a task that ends behind an address, or the end. */
static const struct run *run_behind(const struct records *k, uint32_t task, uint64_t at)
{
	const struct run *v = k->own + k->of_task[task].first;
	size_t lo = 0, hi = k->of_task[task].n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (run_end(&v[mid]) <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return v + lo;
}

static int add_alias(struct records *k, const struct piece *p)
{
	const struct own_runs *of = &k->of_task[p->of];
	const struct run *r = run_behind(k, p->of, p->start), *end = k->own + of->first + of->n;
	int ret = 0;

	for (; ret == 0 && r < end && r->start < p->end; r++) {
		struct entry e = {.want = p->want, .of = k->t->tasks[p->of].pid};

		e.start = MAX(r->start, p->start);
		e.end = MIN(run_end(r), p->end);
		ret = add_entry(k, &e);
	}
	return ret;
}

/* ------------------------------------------------------------------ messages */

static Ckpt__PageRun *run_msg(const struct entry *e)
{
	Ckpt__PageRun *m = msg_new(Ckpt__PageRun, CKPT__PAGE_RUN__INIT);

	if (!m)
		return NULL;
	m->start = e->start;
	m->pages = (e->end - e->start) / PAGE;
	if (e->run) {
		m->shard = e->run->shard;
		m->offset = e->run->offset;
		m->xxh3 = e->run->hash;
	} else {
		m->kind = CKPT__PAGE_RUN__KIND__ALIAS;
		m->of = e->of;
	}
	return m;
}

/* Entries of wants that follow each other and belong to one record. */
static int add_record(struct records *k, const struct entry *v, size_t n)
{
	const struct page_want *want = &k->t->wants[v->want];
	struct collect *c = want->of;
	Ckpt__Pages *m = msg_new(Ckpt__Pages, CKPT__PAGES__INIT);

	if (!m || !(m->runs = calloc(n, sizeof(*m->runs)))) {
		free(m);
		return collect_oom(c);
	}
	for (size_t i = 0; i < n; i++) {
		m->runs[i] = run_msg(&v[i]);
		if (!m->runs[i]) {
			protobuf_c_message_free_unpacked(&m->base, NULL);
			return collect_oom(c);
		}
		m->n_runs++;
	}
	return collect_add_take(c, want->type, want->owner, m);
}

static bool same_record(const struct records *k, const struct entry *a, const struct entry *b)
{
	const struct page_want *x = &k->t->wants[a->want], *y = &k->t->wants[b->want];

	return x->type == y->type && x->owner == y->owner;
}

/* Aliases that touch each other are one. */
static void join(struct records *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		struct entry *last = n ? &k->v[n - 1] : NULL, *e = &k->v[i];

		if (last && !last->run && !e->run && last->of == e->of && last->end == e->start &&
			same_record(k, last, e))
			last->end = e->end;
		else
			k->v[n++] = *e;
	}
	k->n = n;
}

static int add_records(struct records *k)
{
	size_t first = 0;
	int r = 0;

	if (k->n)
		qsort(k->v, k->n, sizeof(*k->v), entry_order);
	join(k);
	for (size_t i = 0; r == 0 && i < k->n; i++) {
		if (i + 1 < k->n && same_record(k, &k->v[i], &k->v[i + 1]))
			continue;
		r = add_record(k, k->v + first, i + 1 - first);
		first = i + 1;
	}
	return r;
}

int page_records_add(struct collect_tree *t, struct run *own, size_t n, const struct piece *shared,
	size_t n_shared)
{
	struct records k = {.t = t, .own = own};
	int r;

	if (n)
		qsort(own, n, sizeof(*own), by_want_and_start);
	r = find_tasks(&k, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_entry(&k,
			&(struct entry){own[i].want, own[i].start, run_end(&own[i]), &own[i], 0});
	for (size_t i = 0; r == 0 && i < n_shared; i++)
		r = add_alias(&k, &shared[i]);
	if (r == 0)
		r = add_records(&k);
	free(k.of_task);
	free(k.v);
	return r;
}
