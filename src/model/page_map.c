/*
 * page_map.c - see page_map.h.
 */
#include "model/page_map.h"

#include <errno.h>
#include <stdlib.h>

#include "util/vec.h"

int page_map_add(struct page_map *m, uint64_t start, uint64_t end, pid_t of)
{
	struct page_span *last = m->n ? &m->v[m->n - 1] : NULL;

	if (start >= end || of == PAGES_OF_NOBODY)
		return 0;
	if (last && last->end == start && last->of == of) {
		last->end = end;
		return 0;
	}
	if (vec_reserve(&m->v, &m->cap, m->n + 1, sizeof(*m->v)) < 0)
		return -ENOMEM;
	m->v[m->n++] = (struct page_span){start, end, of};
	return 0;
}

void page_map_done(struct page_map *m)
{
	free(m->v);
	*m = (struct page_map){0};
}

uint64_t page_map_bytes(const struct page_map *m)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < m->n; i++)
		bytes += m->v[i].end - m->v[i].start;
	return bytes;
}

pid_t page_walk_look(struct page_walk *w, uint64_t at, uint64_t *end)
{
	const struct page_span *s;

	while (w->map && w->at < w->map->n && w->map->v[w->at].end <= at)
		w->at++;
	if (!w->map || w->at == w->map->n)
		return PAGES_OF_NOBODY;
	s = &w->map->v[w->at];
	*end = MIN(*end, s->start > at ? s->start : s->end);
	return s->start > at ? PAGES_OF_NOBODY : s->of;
}
