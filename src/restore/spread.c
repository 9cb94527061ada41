/*
 * spread.c - see spread.h.
 *
 * Hundreds of tasks may have thousands of stretches of one owner each. Its address space is cut where any of
 * them begins or ends; a task marks the cells that it covers, and a marked cell is stepped over from then on.
 */
#include "restore/spread.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/vec.h"

#define NOT_YET UINT32_MAX

static int by_owner_and_task(const void *a, const void *b)
{
	const struct spread_use *x = a, *y = b;

	if (x->of != y->of)
		return x->of < y->of ? -1 : 1;
	return (x->by > y->by) - (x->by < y->by);
}

static int by_address(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The cells of one owner, and what they are cut by. */
struct cells {
	uint64_t *cuts; /* ascending; cell i is from cuts[i] to cuts[i + 1] */
	size_t n;       /* cells */
	size_t *next;   /* of each cell: the first from it on that is not marked */
	int64_t *more;  /* of each cell: how many tasks more than the one before */
	struct spread_cell *v;
};

static int cells_cut(const struct spread_use *uses, size_t n, struct cells *c)
{
	size_t m = 0;

	c->cuts = malloc(2 * n * sizeof(*c->cuts));
	c->next = malloc((2 * n + 1) * sizeof(*c->next));
	c->more = calloc(2 * n + 1, sizeof(*c->more));
	if (!c->cuts || !c->next || !c->more)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		c->cuts[2 * i] = uses[i].start;
		c->cuts[2 * i + 1] = uses[i].end;
	}
	qsort(c->cuts, 2 * n, sizeof(*c->cuts), by_address);
	for (size_t i = 0; i < 2 * n; i++)
		if (i == 0 || c->cuts[i] != c->cuts[m - 1])
			c->cuts[m++] = c->cuts[i];
	c->n = m - 1;
	return 0;
}

static size_t cell_of(const struct cells *c, uint64_t at)
{
	const uint64_t *hit = bsearch(&at, c->cuts, c->n + 1, sizeof(*c->cuts), by_address);

	return (size_t)(hit - c->cuts);
}

static size_t unmarked(struct cells *c, size_t i)
{
	while (c->next[i] != i)
		i = c->next[i] = c->next[c->next[i]];
	return i;
}

static void unmark_all(struct cells *c)
{
	for (size_t i = 0; i <= c->n; i++)
		c->next[i] = i;
}

static void mark(struct cells *c, const struct spread_use *u, bool first)
{
	size_t end = cell_of(c, u->end);

	for (size_t i = unmarked(c, cell_of(c, u->start)); i < end; i = unmarked(c, i)) {
		if (first)
			c->v[i].first = MIN(u->owner, u->by);
		else
			c->v[i].last = MAX(u->owner, u->by);
		c->next[i] = i + 1;
	}
}

/* Of one owner, by task. */
static int add_owner(struct spread *s, const struct spread_use *uses, size_t n)
{
	struct cells c = {0};
	uint32_t had = 1;
	int r = cells_cut(uses, n, &c);

	if (r == 0)
		r = vec_reserve(&s->v, &s->cap, s->n + c.n, sizeof(*s->v));
	if (r < 0)
		goto out;
	c.v = s->v + s->n;
	for (size_t i = 0; i < c.n; i++)
		c.v[i] = (struct spread_cell){.of = uses[0].of,
			.first = NOT_YET,
			.start = c.cuts[i],
			.end = c.cuts[i + 1]};
	unmark_all(&c);
	for (size_t i = 0; i < n; i++) {
		mark(&c, &uses[i], true);
		c.more[cell_of(&c, uses[i].start)]++;
		c.more[cell_of(&c, uses[i].end)]--;
	}
	unmark_all(&c);
	for (size_t i = n; i-- > 0;)
		mark(&c, &uses[i], false);
	for (size_t i = 0; i < c.n; i++) {
		had = (uint32_t)(had + c.more[i]);
		c.v[i].n = had;
		if (c.v[i].first != NOT_YET)
			s->v[s->n++] = c.v[i];
	}
out:
	free(c.cuts);
	free(c.next);
	free(c.more);
	return r;
}

int spread_new(struct spread_use *v, size_t n, struct spread *ret)
{
	size_t first = 0;
	int r = 0;

	*ret = (struct spread){0};
	if (n)
		qsort(v, n, sizeof(*v), by_owner_and_task);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (i + 1 < n && v[i + 1].of == v[i].of)
			continue;
		r = add_owner(ret, v + first, i + 1 - first);
		first = i + 1;
	}
	return r;
}

void spread_done(struct spread *s)
{
	free(s->v);
	*s = (struct spread){0};
}

const struct spread_cell *spread_at(const struct spread *s, pid_t of, uint64_t at, uint64_t *end)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct spread_cell *c = &s->v[mid];

		if (c->of < of || (c->of == of && c->end <= at))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->n || s->v[lo].of != of)
		return NULL;
	*end = MIN(*end, s->v[lo].start > at ? s->v[lo].start : s->v[lo].end);
	return s->v[lo].start > at ? NULL : &s->v[lo];
}
