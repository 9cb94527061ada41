/*
 * show_shared.c - which pages several processes of an image have, where it has them once.
 */
#include "lib/show_shared.h"

#include <errno.h>
#include <stdlib.h>

#include "model/pages.h"
#include "util/vec.h"

static int by_task_and_address(const void *a, const void *b)
{
	const struct page_span *x = a, *y = b;

	if (x->of != y->of)
		return x->of < y->of ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

/* Those of each task that others have, each once. */
static void unite(struct page_map *m)
{
	size_t n = 0;

	if (m->n)
		qsort(m->v, m->n, sizeof(*m->v), by_task_and_address);
	for (size_t i = 0; i < m->n; i++) {
		struct page_span *last = n ? &m->v[n - 1] : NULL, s = m->v[i];

		if (last && last->of == s.of && last->end >= s.start)
			last->end = MAX(last->end, s.end);
		else
			m->v[n++] = s;
	}
	m->n = n;
}

int shared_new(const struct loaded *l, struct shared_pages *ret)
{
	const struct model_rec *rec;
	size_t pos = 0;

	*ret = (struct shared_pages){0};
	while ((rec = model_next(&l->model, load_type("pages"), &pos))) {
		Ckpt__PageRun *const *runs;
		size_t n = pages_runs(rec->msg, &runs);

		for (size_t i = 0; i < n; i++) {
			if (runs[i]->kind != CKPT__PAGE_RUN__KIND__ALIAS)
				continue;
			if (page_map_add(&ret->owned, runs[i]->start, pages_run_end(runs[i]),
				    runs[i]->of) < 0)
				return -ENOMEM;
			ret->alias_bytes += pages_run_bytes(runs[i]);
		}
	}
	unite(&ret->owned);
	return 0;
}

void shared_done(struct shared_pages *s)
{
	page_map_done(&s->owned);
}

/* The first stretch of a task that ends behind an address, or of a later task. */
static size_t owned_behind(const struct page_map *m, pid_t of, uint64_t at)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->v[mid].of < of || (m->v[mid].of == of && m->v[mid].end <= at))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t shared_bytes(const struct shared_pages *s, const struct loaded *l, uint64_t pid,
	uint64_t start, uint64_t end)
{
	const ProtobufCMessage *pages = model_get(&l->model, load_type("pages"), pid);
	Ckpt__PageRun *const *runs;
	size_t n = pages ? pages_runs(pages, &runs) : 0;
	const struct page_map *m = &s->owned;
	uint64_t sum = 0;

	for (size_t i = n ? pages_find(runs, n, start) : 0; i < n && runs[i]->start < end; i++)
		if (runs[i]->kind == CKPT__PAGE_RUN__KIND__ALIAS)
			sum += MIN(pages_run_end(runs[i]), end) - MAX(runs[i]->start, start);
	for (size_t i = owned_behind(m, (pid_t)pid, start);
		i < m->n && m->v[i].of == (pid_t)pid && m->v[i].start < end; i++)
		sum += MIN(m->v[i].end, end) - MAX(m->v[i].start, start);
	return sum;
}
