/*
 * lend.c - see lend.h.
 *
 * Names: what a task HAS is what it has in the image. What it WANTS is what it is best born with: of each page
 * the first that one of its children wants, in their order, or that it has itself, as far as somebody has
 * that page who is no descendant of it. What it HOLDS is what is in its memory at some moment of the restore.
 */
#include "restore/lend.h"

#include <errno.h>
#include <stdlib.h>

#include "model/pages.h"
#include "res/mm/mm.h"
#include "res/mm/mm_inherit.h"
#include "restore/spread.h"
#include "util/vec.h"

#define PAGE 4096UL

/*
 * To be filled once more costs a task and its other children a meeting with the coordinator, which is as long
 * as it takes to write so many pages.
 */
#define WORTH_PAGES 16

#define COPIES_WORTH (4 * PAGE)

/* One task. */
struct member {
	struct page_map has, wants;
	struct page_map keeps; /* of the maker's mappings; of nobody in particular */
	struct page_map holds; /* what it is born with, then what it has got */
	uint32_t number, last; /* its own, and that of its last descendant */
	bool makes;            /* children that share pages with it */
};

struct lending {
	struct ckpt_op *op;
	const struct tree *tree;
	struct member *v; /* of tree->v */
	struct lend *out; /* likewise */
	struct spread spread;
};

static int no_memory(struct lending *l)
{
	return op_fail(l->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the pages that tasks share");
}

static bool is_born_filled(const struct lending *l, size_t i)
{
	return l->tree->v[i].kind == BIRTH_TASK && l->tree->v[i].when == BIRTH_FILLED;
}

/* The next child that a task makes with its memory, from @i on; BIRTH_NONE: there is no more. */
static size_t next_child(const struct lending *l, size_t i)
{
	while (i != BIRTH_NONE && !is_born_filled(l, i))
		i = l->tree->v[i].made_next;
	return i;
}

#define each_child(l, maker, k)                                                                    \
	(size_t k = next_child(l, (l)->tree->v[maker].made); k != BIRTH_NONE;                      \
		k = next_child(l, (l)->tree->v[k].made_next))

/* ------------------------------------------------------------------ what tasks have */

static int find_pages(struct lending *l, const struct model *m, size_t i)
{
	const struct birth *b = &l->tree->v[i];
	const ProtobufCMessage *msg = model_get(m, &res_pages.type, (uint64_t)b->pid);
	Ckpt__PageRun *const *runs;
	size_t n = msg ? pages_runs(msg, &runs) : 0;
	uint64_t end = 0;

	for (size_t k = 0; k < n; k++) {
		const Ckpt__PageRun *run = runs[k];
		bool alias = run->kind == CKPT__PAGE_RUN__KIND__ALIAS;

		if (run->start < end || run->start % PAGE || run->pages > UINT64_MAX / PAGE ||
			pages_run_end(run) <= run->start || (alias && run->of <= 0))
			return op_fail(l->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"pid %d: memory: pages at %llx: no such range, or out of order",
				b->pid, (unsigned long long)run->start);
		end = pages_run_end(run);
		if (page_map_add(&l->v[i].has, run->start, end, alias ? run->of : b->pid) < 0)
			return no_memory(l);
	}
	return 0;
}

/* Each task is followed by its descendants. Parents stand before their children in the tree. */
static int number_tasks(struct lending *l)
{
	const struct birth *b = l->tree->v;
	uint32_t *size = calloc(l->tree->n, sizeof(*size));

	if (!size)
		return no_memory(l);
	for (size_t i = l->tree->n; i-- > 0;) {
		size[i]++;
		if (b[i].kind == BIRTH_TASK && b[i].parent != BIRTH_NONE)
			size[b[i].parent] += size[i];
	}
	for (size_t i = 0; i < l->tree->n; i++) {
		struct member *parent = b[i].parent == BIRTH_NONE ? NULL : &l->v[b[i].parent];

		if (b[i].kind != BIRTH_TASK)
			continue;
		/* the last number of a parent is that of those descendants that have one already */
		l->v[i].number = parent ? parent->last + 1 : 0;
		l->v[i].last = l->v[i].number;
		if (parent)
			parent->last += size[i];
	}
	free(size);
	return 0;
}

struct by_pid {
	pid_t pid;
	uint32_t number;
};

static int by_pid(const void *a, const void *b)
{
	const struct by_pid *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* @ret: one more for each alias. Return: 0; -ENOMEM */
static int find_uses(const struct lending *l, struct by_pid *pids, size_t n_pids,
	struct spread_use **ret, size_t *ret_n)
{
	struct spread_use *v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < l->tree->n; i++) {
		const struct page_map *has = &l->v[i].has;

		for (size_t k = 0; k < has->n; k++) {
			struct by_pid key = {.pid = has->v[k].of}, *owner;

			if (key.pid == l->tree->v[i].pid)
				continue;
			owner = bsearch(&key, pids, n_pids, sizeof(*pids), by_pid);
			if (!owner) /* it is damaged, which is found when it is filled */
				continue;
			if (vec_reserve(&v, &cap, n + 1, sizeof(*v)) < 0) {
				free(v);
				return -ENOMEM;
			}
			v[n++] = (struct spread_use){.of = key.pid,
				.owner = owner->number,
				.by = l->v[i].number,
				.start = has->v[k].start,
				.end = has->v[k].end};
		}
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

static int find_spread(struct lending *l)
{
	struct by_pid *pids = calloc(l->tree->n, sizeof(*pids));
	struct spread_use *uses = NULL;
	size_t n = 0, n_uses = 0;
	int r = pids ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < l->tree->n; i++)
		if (l->tree->v[i].kind == BIRTH_TASK)
			pids[n++] = (struct by_pid){l->tree->v[i].pid, l->v[i].number};
	if (n)
		qsort(pids, n, sizeof(*pids), by_pid);
	if (r == 0)
		r = find_uses(l, pids, n, &uses, &n_uses);
	if (r == 0)
		r = spread_new(uses, n_uses, &l->spread);
	free(uses);
	free(pids);
	return r < 0 ? no_memory(l) : 0;
}

static int find_all(struct lending *l, const struct model *m)
{
	int r = number_tasks(l);

	for (size_t i = 0; r == 0 && i < l->tree->n; i++)
		if (l->tree->v[i].kind == BIRTH_TASK)
			r = find_pages(l, m, i);
	if (r == 0)
		r = find_spread(l);
	for (size_t i = 0; r == 0 && i < l->tree->n; i++) {
		const struct birth *b = &l->tree->v[i];

		if (!is_born_filled(l, i))
			continue;
		l->v[b->maker].makes = true;
		if (mm_find_kept(m, l->tree->v[b->maker].pid, b->pid, &l->v[i].keeps) < 0)
			r = no_memory(l);
	}
	return r;
}

/* ------------------------------------------------------------------ what tasks want */

/* Whether somebody has a page who is no descendant of a task. */
static bool is_shared_outside(
	const struct lending *l, size_t i, pid_t of, uint64_t at, uint64_t *end)
{
	const struct spread_cell *c = spread_at(&l->spread, of, at, end);

	return c && (c->first < l->v[i].number || c->last > l->v[i].last);
}

/* @keeps: NULL: everywhere */
static int add_wants(
	struct lending *l, size_t i, const struct page_map *from, const struct page_map *keeps)
{
	struct page_walk had = {.map = &l->v[i].wants}, more = {.map = from}, kept = {.map = keeps};
	struct page_map wants = {0};
	int r = 0;

	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		pid_t of, other;

		end = UINT64_MAX;
		of = page_walk_look(&had, at, &end);
		other = page_walk_look(&more, at, &end);
		if (keeps && page_walk_look(&kept, at, &end) == PAGES_OF_NOBODY)
			other = PAGES_OF_NOBODY;
		if (of == PAGES_OF_NOBODY && other != PAGES_OF_NOBODY &&
			is_shared_outside(l, i, other, at, &end))
			of = other;
		r = page_map_add(&wants, at, end, of);
	}
	page_map_done(&l->v[i].wants);
	l->v[i].wants = wants;
	return r;
}

static int find_wants(struct lending *l, size_t i)
{
	int r = 0;

	for
		each_child(l, i, k)
		{
			r = add_wants(l, i, &l->v[k].wants, &l->v[k].keeps);
			if (r < 0)
				break;
		}
	return r < 0 ? r : add_wants(l, i, &l->v[i].has, NULL);
}

/* ------------------------------------------------------------------ what tasks hold */

/* What children want and the task itself has not is to be there before, or instead of, its own. */
static int find_disputed(struct lending *l, size_t i, struct page_map *disputed)
{
	int r = 0;

	for
		each_child(l, i, k)
		{
			struct page_walk had = {.map = disputed}, own = {.map = &l->v[i].has},
					 wants = {.map = &l->v[k].wants},
					 kept = {.map = &l->v[k].keeps};
			struct page_map next = {0};

			for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
				pid_t is, has, wish, keep;

				end = UINT64_MAX;
				is = page_walk_look(&had, at, &end);
				has = page_walk_look(&own, at, &end);
				wish = page_walk_look(&wants, at, &end);
				keep = page_walk_look(&kept, at, &end);
				if (keep != PAGES_OF_NOBODY && wish != PAGES_OF_NOBODY &&
					wish != has)
					is = wish;
				r = page_map_add(&next, at, end, is != PAGES_OF_NOBODY);
			}
			page_map_done(disputed);
			*disputed = next;
		}
	return r;
}

/*
 * From one page to another, or to none. What has to go, goes; what is only replaced may, so that its contents
 * go into fresh memory and not into a copy of what others have. One call costs about as much as a few copies.
 */
static int change(struct lend_fill *f, uint64_t start, uint64_t end, pid_t is, pid_t want)
{
	int r = 0;

	if (is == want)
		return 0;
	if (is != PAGES_OF_NOBODY && (want == PAGES_OF_NOBODY || end - start >= COPIES_WORTH))
		r = page_map_add(&f->drop, start, end, is);
	return r < 0 ? r : page_map_add(&f->fill, start, end, want);
}

/* To what a task has, but where @disputed. */
static int settle(struct member *t, const struct page_map *disputed, struct lend_fill *ret)
{
	struct page_walk holds = {.map = &t->holds}, has = {.map = &t->has},
			 left = {.map = disputed};
	struct page_map next = {0};
	int r = 0;

	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		pid_t is, want;

		end = UINT64_MAX;
		is = page_walk_look(&holds, at, &end);
		want = page_walk_look(&has, at, &end);
		if (page_walk_look(&left, at, &end) != PAGES_OF_NOBODY)
			want = is;
		r = change(ret, at, end, is, want);
		if (r == 0)
			r = page_map_add(&next, at, end, want);
	}
	page_map_done(&t->holds);
	t->holds = next;
	return r;
}

/*
 * To what a child wants.
 * @ret_holds: what the task holds then
 * @ret_gain: pages that are not there twice then
 */
static int suit(struct lending *l, size_t i, size_t child, struct page_map *ret_holds,
	struct lend_fill *ret, uint64_t *ret_gain)
{
	struct page_walk holds = {.map = &l->v[i].holds}, wants = {.map = &l->v[child].wants},
			 kept = {.map = &l->v[child].keeps};
	int r = 0;

	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		const struct spread_cell *c;
		pid_t is, wish;

		end = UINT64_MAX;
		is = page_walk_look(&holds, at, &end);
		wish = page_walk_look(&wants, at, &end);
		if (page_walk_look(&kept, at, &end) == PAGES_OF_NOBODY || wish == PAGES_OF_NOBODY)
			wish = is;
		if (wish != is) {
			c = spread_at(&l->spread, wish, at, &end);
			*ret_gain += c ? (end - at) / PAGE * (c->n - 1) : 0;
		}
		r = change(ret, at, end, is, wish);
		if (r == 0)
			r = page_map_add(ret_holds, at, end, wish);
	}
	return r;
}

/* What a child is born with. */
static int bear(struct lending *l, size_t i, size_t child)
{
	struct page_walk holds = {.map = &l->v[i].holds}, kept = {.map = &l->v[child].keeps};
	int r = 0;

	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		pid_t is;

		end = UINT64_MAX;
		is = page_walk_look(&holds, at, &end);
		if (page_walk_look(&kept, at, &end) != PAGES_OF_NOBODY)
			r = page_map_add(&l->v[child].holds, at, end, is);
	}
	return r;
}

/* ------------------------------------------------------------------ how often it is filled */

static void fill_done(struct lend_fill *f)
{
	page_map_done(&f->drop);
	page_map_done(&f->fill);
}

/* One time more. @f: is taken. Return: 0; -ENOMEM */
static int add_fill_take(struct lend *t, struct lend_fill *f)
{
	struct lend_fill *v = realloc(t->v, (t->n + 1) * sizeof(*v));

	if (!v) {
		fill_done(f);
		return -ENOMEM;
	}
	t->v = v;
	v[t->n++] = *f;
	return 0;
}

static int join(struct page_map *to, const struct page_map *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = page_map_add(to, from->v[i].start, from->v[i].end, from->v[i].of);
	return r;
}

/* To the only time so far. @f: is taken */
static int join_fill_take(struct lend *t, struct lend_fill *f)
{
	int r = join(&t->v->drop, &f->drop);

	if (r == 0)
		r = join(&t->v->fill, &f->fill);
	fill_done(f);
	return r;
}

/* @first: nobody has been made yet, so that filling more is free */
static int lend_to(struct lending *l, size_t i, size_t child, bool first)
{
	struct lend_fill f = {0};
	struct page_map holds = {0};
	struct lend *t = &l->out[i];
	uint64_t gain = 0;
	int r = suit(l, i, child, &holds, &f, &gain);

	if (r == 0 && f.fill.n && (first || gain >= WORTH_PAGES)) {
		r = first ? join_fill_take(t, &f) : add_fill_take(t, &f);
		page_map_done(&l->v[i].holds);
		l->v[i].holds = holds;
	} else {
		fill_done(&f);
		page_map_done(&holds);
	}
	l->out[child].made = t->n - 1;
	return r < 0 ? r : bear(l, i, child);
}

/* The last time: what is its own. */
static int fill_last(struct lending *l, size_t i)
{
	struct lend_fill f = {0};
	struct lend *t = &l->out[i];
	int r = settle(&l->v[i], NULL, &f);

	if (r == 0 && f.fill.n)
		return add_fill_take(t, &f);
	t->drop = f.drop;
	page_map_done(&f.fill);
	return r;
}

static int by_owner(const void *a, const void *b)
{
	const struct page_span *x = a, *y = b;

	if (x->of != y->of)
		return x->of < y->of ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

/* As pages stand behind each other in the image. */
static void sort_fills(struct lend *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].fill.n)
			qsort(t->v[i].fill.v, t->v[i].fill.n, sizeof(*t->v[i].fill.v), by_owner);
}

static int lend_all(struct lending *l, size_t i)
{
	struct page_map disputed = {0};
	struct lend_fill own = {0};
	struct lend *t = &l->out[i];
	bool first = true;
	int r = find_disputed(l, i, &disputed);

	if (r == 0)
		r = settle(&l->v[i], &disputed, &own);
	page_map_done(&disputed);
	if (r == 0)
		r = add_fill_take(t, &own);
	else
		fill_done(&own);
	for
		each_child(l, i, k)
		{
			if (r < 0)
				break;
			r = lend_to(l, i, k, first);
			first = false;
		}
	if (r == 0)
		r = fill_last(l, i);
	sort_fills(t);
	return r;
}

static void member_done(struct member *t)
{
	page_map_done(&t->has);
	page_map_done(&t->wants);
	page_map_done(&t->keeps);
	page_map_done(&t->holds);
}

static int find_lends(struct lending *l)
{
	int r = 0;

	/* children have told before their parents are asked */
	for (size_t i = l->tree->n; r == 0 && i-- > 0;)
		if (is_born_filled(l, i))
			r = find_wants(l, i);
	for (size_t i = 0; r == 0 && i < l->tree->n; i++) {
		l->out[i].whole = !l->v[i].makes && !is_born_filled(l, i);
		l->out[i].n = l->out[i].whole;
		if (!l->out[i].whole)
			r = lend_all(l, i);
		member_done(&l->v[i]);
	}
	return r < 0 ? no_memory(l) : 0;
}

/* ------------------------------------------------------------------ the whole */

int lend_new(struct ckpt_op *op, const struct model *m, const struct tree *tree, struct lend **ret)
{
	struct lending l = {.op = op, .tree = tree};
	int r = 0;

	*ret = l.out = calloc(tree->n, sizeof(*l.out));
	l.v = calloc(tree->n, sizeof(*l.v));
	if (!l.out || !l.v)
		r = no_memory(&l);
	if (r == 0)
		r = find_all(&l, m);
	if (r == 0)
		r = find_lends(&l);
	for (size_t i = 0; l.v && i < tree->n; i++)
		member_done(&l.v[i]);
	spread_done(&l.spread);
	free(l.v);
	if (r < 0) {
		lend_done(*ret, tree->n);
		*ret = NULL;
	}
	return r;
}

void lend_done(struct lend *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++) {
		for (size_t k = 0; v[i].v && k < v[i].n; k++)
			fill_done(&v[i].v[k]);
		free(v[i].v);
		page_map_done(&v[i].drop);
	}
	free(v);
}
