/*
 * windows.c - see windows.h.
 *
 * A window holds about WINDOW_BYTES of pages that are there. A mapping of terabytes with few pages in it
 * makes windows of up to LONGEST_BYTES, for each of which the kernel skips what is empty.
 */
#include "dump/windows.h"

#include <errno.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/vec.h"

#define WINDOW_BYTES  (16UL << 20)
#define LONGEST_BYTES (4UL << 30)
#define BORDER_BYTES  (2UL << 20) /* no border within a huge page */

#define DENSE (LONGEST_BYTES / WINDOW_BYTES) /* density of a mapping all of whose pages are there */

static int want_order(const void *a, const void *b)
{
	const struct page_want *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->fd < 0 && y->fd < 0 && x->of != y->of)
		return x->of < y->of ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

void windows_sort_wants(struct collect_tree *t)
{
	if (t->n_wants)
		qsort(t->wants, t->n_wants, sizeof(*t->wants), want_order);
}

/* ------------------------------------------------------------------ borders */

struct borders {
	uint64_t *v; /* ascending: a window begins at each */
	size_t n, cap;
	uint64_t filled; /* bytes in the window that is growing, times DENSE */
};

static int by_address(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static uint64_t density(const struct page_want *w)
{
	unsigned __int128 d = (unsigned __int128)w->resident_bytes * DENSE / (w->end - w->start);

	return d < 1 ? 1 : d > DENSE ? DENSE : (uint64_t)d;
}

static int add_border(struct borders *b, uint64_t at)
{
	if (vec_reserve(&b->v, &b->cap, b->n + 1, sizeof(*b->v)) < 0)
		return -ENOMEM;
	b->v[b->n++] = at;
	b->filled = 0;
	return 0;
}

/* @start: behind all that was added before */
static int add_stretch(struct borders *b, uint64_t start, uint64_t end, uint64_t dense)
{
	while (start < end) {
		uint64_t room = (WINDOW_BYTES * DENSE - b->filled) / dense;

		if (end - start <= room) {
			b->filled += (end - start) * dense;
			return 0;
		}
		start = MIN(ALIGN_UP(start + MAX(room, 1UL), BORDER_BYTES), end);
		if (add_border(b, start) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* @v: all of memory; it is sorted by address */
static int find_borders(const struct collect_tree *t, struct part *v, size_t n, struct borders *ret)
{
	uint64_t covered = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_address);
	for (size_t i = 0; i < n; i++) {
		uint64_t start = MAX(v[i].start, covered);

		if (start >= v[i].end)
			continue;
		if (add_stretch(ret, start, v[i].end, density(&t->wants[v[i].want])) < 0)
			return -ENOMEM;
		covered = v[i].end;
	}
	return 0;
}

/* ------------------------------------------------------------------ parts */

/* Return: the window in which an address lies */
static size_t window_of(const struct borders *b, uint64_t at)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->v[mid] <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Call with w->parts NULL, to count; then, with first set in all windows, to put them there. */
static void each_part(const struct collect_tree *t, const struct borders *b, struct windows *w)
{
	size_t file = b->n + 1; /* windows of files stand behind those of memory */

	for (uint32_t i = 0; i < t->n_wants; i++) {
		const struct page_want *x = &t->wants[i];
		size_t k = x->fd < 0 ? window_of(b, x->start) : file++;

		for (uint64_t at = x->start, end; at < x->end; at = end, k++) {
			end = x->fd < 0 && k < b->n ? MIN(b->v[k], x->end) : x->end;
			if (w->parts)
				w->parts[w->v[k].first + w->v[k].n] = (struct part){i, at, end};
			w->v[k].n++;
		}
	}
}

static int find_parts(const struct collect_tree *t, const struct borders *b, struct windows *w)
{
	size_t n = 0;

	w->n = b->n + 1 + t->n_wants;
	w->v = calloc(w->n, sizeof(*w->v));
	if (!w->v)
		return -ENOMEM;
	each_part(t, b, w);
	for (size_t i = 0; i < w->n; i++) {
		w->v[i].first = n;
		n += w->v[i].n;
		w->v[i].n = 0;
	}
	w->parts = malloc((n + 1) * sizeof(*w->parts));
	if (!w->parts)
		return -ENOMEM;
	w->n_parts = n;
	each_part(t, b, w);
	return 0;
}

int windows_find(const struct collect_tree *t, struct windows *ret)
{
	_cleanup_free_ struct part *memory = malloc((t->n_wants + 1) * sizeof(*memory));
	struct borders b = {0};
	size_t n = 0;
	int r;

	*ret = (struct windows){0};
	if (!memory)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_wants; i++)
		if (t->wants[i].fd < 0)
			memory[n++] = (struct part){i, t->wants[i].start, t->wants[i].end};
	r = find_borders(t, memory, n, &b);
	if (r == 0)
		r = find_parts(t, &b, ret);
	free(b.v);
	return r;
}

void windows_done(struct windows *w)
{
	free(w->parts);
	free(w->v);
	*w = (struct windows){0};
}
