/*
 * lend.c - see lend.h.
 *
 * What a task HOLDS is what is in its memory at some moment of the restore; the other names are family.h's.
 */
#include "restore/lend.h"

#include <errno.h>
#include <stdlib.h>

#include "restore/family.h"
#include "util/vec.h"

#define PAGE 4096UL

/*
 * To be filled once more costs a task and its other children a meeting with the coordinator, which is as long
 * as it takes to write so many pages.
 */
#define WORTH_PAGES 16

#define COPIES_WORTH (4 * PAGE)

/*
 * What no child has is best not there when they are made: each would be given it, and drop it. From so many
 * pages on in all of them, that costs more than such a meeting.
 */
#define LATER_WORTH 2048

struct lending {
	struct family f;
	struct page_map *holds; /* of each task: what it is born with, then what it has got */
	struct lend *out;       /* likewise */
};

/* ------------------------------------------------------------------ what tasks hold */

/* @marks: added to, where a child wants another page than the task has; or where it wants the same */
static int mark(
	const struct family *f, size_t i, size_t child, bool another, struct page_map *marks)
{
	struct page_walk had = {.map = marks}, own = {.map = &f->v[i].has},
			 wants = {.map = &f->v[child].wants}, kept = {.map = &f->v[child].keeps};
	struct page_map next = {0};
	int r = 0;

	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		pid_t is, has, wish, keep;

		end = UINT64_MAX;
		is = page_walk_look(&had, at, &end);
		has = page_walk_look(&own, at, &end);
		wish = page_walk_look(&wants, at, &end);
		keep = page_walk_look(&kept, at, &end);
		if (keep != PAGES_OF_NOBODY && wish != PAGES_OF_NOBODY && (wish != has) == another)
			is = wish;
		r = page_map_add(&next, at, end, is != PAGES_OF_NOBODY);
	}
	page_map_done(marks);
	*marks = next;
	return r;
}

static int mark_all(const struct family *f, size_t i, bool another, struct page_map *marks)
{
	int r = 0;

	for (size_t k = family_child(f, i); r == 0 && k != BIRTH_NONE; k = family_child_after(f, k))
		r = mark(f, i, k, another, marks);
	return r;
}

/* @later: added to, what the task has and no child wants, if it is much */
static int find_own(const struct family *f, size_t i, struct page_map *later)
{
	struct page_map wanted = {0}, next = {0};
	struct page_walk own = {.map = &f->v[i].has}, theirs = {.map = &wanted},
			 had = {.map = later};
	uint64_t bytes = 0, children = 0;
	int r = mark_all(f, i, false, &wanted);

	for (size_t k = family_child(f, i); k != BIRTH_NONE; k = family_child_after(f, k))
		children++;
	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		bool is, is_own;

		end = UINT64_MAX;
		is = page_walk_look(&had, at, &end) != PAGES_OF_NOBODY;
		is_own = page_walk_look(&own, at, &end) != PAGES_OF_NOBODY;
		is_own &= page_walk_look(&theirs, at, &end) == PAGES_OF_NOBODY;
		bytes += is_own && !is ? end - at : 0;
		r = page_map_add(&next, at, end, is || is_own);
	}
	if (bytes / PAGE * children >= LATER_WORTH) {
		page_map_done(later);
		*later = next;
	} else {
		page_map_done(&next);
	}
	page_map_done(&wanted);
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

/* To what a task has, but for what is for @later. */
static int settle(struct lending *l, size_t i, const struct page_map *later, struct lend_fill *ret)
{
	struct page_walk holds = {.map = &l->holds[i]}, has = {.map = &l->f.v[i].has},
			 left = {.map = later};
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
	page_map_done(&l->holds[i]);
	l->holds[i] = next;
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
	struct page_walk holds = {.map = &l->holds[i]}, wants = {.map = &l->f.v[child].wants},
			 kept = {.map = &l->f.v[child].keeps};
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
			c = spread_at(&l->f.spread, wish, at, &end);
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
	struct page_walk holds = {.map = &l->holds[i]}, kept = {.map = &l->f.v[child].keeps};
	int r = 0;

	for (uint64_t at = 0, end; r == 0 && at != UINT64_MAX; at = end) {
		pid_t is;

		end = UINT64_MAX;
		is = page_walk_look(&holds, at, &end);
		if (page_walk_look(&kept, at, &end) != PAGES_OF_NOBODY)
			r = page_map_add(&l->holds[child], at, end, is);
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
		page_map_done(&l->holds[i]);
		l->holds[i] = holds;
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
	int r = settle(l, i, NULL, &f);

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
	/* what children want and the task itself has not is to be there before, or instead of, its own */
	struct page_map later = {0};
	struct lend_fill own = {0};
	struct lend *t = &l->out[i];
	bool first = true;
	int r = mark_all(&l->f, i, true, &later);

	if (r == 0)
		r = find_own(&l->f, i, &later);
	if (r == 0)
		r = settle(l, i, &later, &own);
	page_map_done(&later);
	if (r == 0)
		r = add_fill_take(t, &own);
	else
		fill_done(&own);
	for (size_t k = family_child(&l->f, i); r == 0 && k != BIRTH_NONE;
		k = family_child_after(&l->f, k)) {
		r = lend_to(l, i, k, first);
		first = false;
	}
	if (r == 0)
		r = fill_last(l, i);
	sort_fills(t);
	return r;
}

/* What it is to be mapped with. */
static void give_room(struct lending *l, size_t i)
{
	struct member *t = &l->f.v[i];

	l->out[i].mm = t->mm;
	if (t->mm == &t->room.mm) {
		l->out[i].room = t->room;
		l->out[i].mm = &l->out[i].room.mm;
		t->room = (struct mm_room){0};
	}
}

static int lend_each(struct lending *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->f.tree->n; i++) {
		l->out[i].whole = !l->f.v[i].bears && !l->f.v[i].is_born_with;
		l->out[i].n = l->out[i].whole;
		if (!l->out[i].whole)
			r = lend_all(l, i);
		page_map_done(&l->holds[i]);
	}
	for (size_t i = 0; r == 0 && i < l->f.tree->n; i++)
		give_room(l, i);
	return r < 0 ? family_oom(&l->f) : 0;
}

int lend_new(struct ckpt_op *op, const struct model *m, const struct tree *tree, struct lend **ret)
{
	struct lending l = {0};
	int r = family_new(op, m, tree, &l.f);

	l.out = calloc(tree->n, sizeof(*l.out));
	l.holds = calloc(tree->n, sizeof(*l.holds));
	if (r == 0 && (!l.out || !l.holds))
		r = family_oom(&l.f);
	if (r == 0)
		r = lend_each(&l);
	for (size_t i = 0; l.holds && i < tree->n; i++)
		page_map_done(&l.holds[i]);
	free(l.holds);
	family_done(&l.f);
	if (r < 0) {
		lend_done(l.out, tree->n);
		l.out = NULL;
	}
	*ret = l.out;
	return r;
}

void lend_done(struct lend *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++) {
		for (size_t k = 0; v[i].v && k < v[i].n; k++)
			fill_done(&v[i].v[k]);
		free(v[i].v);
		page_map_done(&v[i].drop);
		mm_room_done(&v[i].room);
	}
	free(v);
}
