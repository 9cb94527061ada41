/*
 * family.c - see family.h.
 */
#include "restore/family.h"

#include <errno.h>
#include <stdlib.h>

#include "model/pages.h"
#include "res/mm/mm_inherit.h"
#include "util/vec.h"

#define PAGE 4096UL

int family_oom(const struct family *f)
{
	return op_fail(f->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the pages that tasks share");
}

static size_t next_child(const struct family *f, size_t i)
{
	while (i != BIRTH_NONE && !f->v[i].is_born_with)
		i = f->tree->v[i].made_next;
	return i;
}

size_t family_child(const struct family *f, size_t i)
{
	return next_child(f, f->tree->v[i].made);
}

size_t family_child_after(const struct family *f, size_t child)
{
	return next_child(f, f->tree->v[child].made_next);
}

/* ------------------------------------------------------------------ what tasks have */

static int find_pages(struct family *f, const struct model *m, size_t i)
{
	const struct birth *b = &f->tree->v[i];
	const ProtobufCMessage *msg = model_get(m, &res_pages.type, (uint64_t)b->pid);
	Ckpt__PageRun *const *runs;
	size_t n = msg ? pages_runs(msg, &runs) : 0;
	uint64_t end = 0;

	for (size_t k = 0; k < n; k++) {
		const Ckpt__PageRun *run = runs[k];
		bool alias = run->kind == CKPT__PAGE_RUN__KIND__ALIAS;

		if (run->start < end || run->start % PAGE || run->pages > UINT64_MAX / PAGE ||
			pages_run_end(run) <= run->start || (alias && run->of <= 0))
			return op_fail(f->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"pid %d: memory: pages at %llx: no such range, or out of order",
				b->pid, (unsigned long long)run->start);
		end = pages_run_end(run);
		if (page_map_add(&f->v[i].has, run->start, end, alias ? run->of : b->pid) < 0)
			return family_oom(f);
	}
	return 0;
}

/* Each task is followed by its descendants. Parents stand before their children in the tree. */
static int number_tasks(struct family *f)
{
	const struct birth *b = f->tree->v;
	uint32_t *size = calloc(f->tree->n, sizeof(*size));

	if (!size)
		return family_oom(f);
	for (size_t i = f->tree->n; i-- > 0;) {
		size[i]++;
		if (b[i].kind == BIRTH_TASK && b[i].parent != BIRTH_NONE)
			size[b[i].parent] += size[i];
	}
	for (size_t i = 0; i < f->tree->n; i++) {
		struct member *parent = b[i].parent == BIRTH_NONE ? NULL : &f->v[b[i].parent];

		if (b[i].kind != BIRTH_TASK)
			continue;
		/* the last number of a parent is that of those descendants that have one already */
		f->v[i].number = parent ? parent->last + 1 : 0;
		f->v[i].last = f->v[i].number;
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
static int find_uses(const struct family *f, struct by_pid *pids, size_t n_pids,
	struct spread_use **ret, size_t *ret_n)
{
	struct spread_use *v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < f->tree->n; i++) {
		const struct page_map *has = &f->v[i].has;

		for (size_t k = 0; k < has->n; k++) {
			struct by_pid key = {.pid = has->v[k].of}, *owner;

			if (key.pid == f->tree->v[i].pid)
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
				.by = f->v[i].number,
				.start = has->v[k].start,
				.end = has->v[k].end};
		}
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

static int find_spread(struct family *f)
{
	struct by_pid *pids = calloc(f->tree->n, sizeof(*pids));
	struct spread_use *uses = NULL;
	size_t n = 0, n_uses = 0;
	int r = pids ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < f->tree->n; i++)
		if (f->tree->v[i].kind == BIRTH_TASK)
			pids[n++] = (struct by_pid){f->tree->v[i].pid, f->v[i].number};
	if (n)
		qsort(pids, n, sizeof(*pids), by_pid);
	if (r == 0)
		r = find_uses(f, pids, n, &uses, &n_uses);
	if (r == 0)
		r = spread_new(uses, n_uses, &f->spread);
	free(uses);
	free(pids);
	return r < 0 ? family_oom(f) : 0;
}

/* ------------------------------------------------------------------ what tasks want */

/* Whether somebody has a page who is no descendant of a task. */
static bool is_shared_outside(
	const struct family *f, size_t i, pid_t of, uint64_t at, uint64_t *end)
{
	const struct spread_cell *c = spread_at(&f->spread, of, at, end);

	return c && (c->first < f->v[i].number || c->last > f->v[i].last);
}

/* @keeps: NULL: everywhere */
static int add_wants(
	struct family *f, size_t i, const struct page_map *from, const struct page_map *keeps)
{
	struct page_walk had = {.map = &f->v[i].wants}, more = {.map = from}, kept = {.map = keeps};
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
			is_shared_outside(f, i, other, at, &end))
			of = other;
		r = page_map_add(&wants, at, end, of);
	}
	page_map_done(&f->v[i].wants);
	f->v[i].wants = wants;
	return r;
}

static int find_wants(struct family *f, size_t i)
{
	int r = 0;

	for (size_t k = family_child(f, i); r == 0 && k != BIRTH_NONE; k = family_child_after(f, k))
		r = add_wants(f, i, &f->v[k].wants, &f->v[k].keeps);
	return r < 0 ? r : add_wants(f, i, &f->v[i].has, NULL);
}

/* ------------------------------------------------------------------ what tasks keep */

static int make_room(struct family *f, size_t i)
{
	struct member *t = &f->v[i];
	const Ckpt__Mm *own = t->mm;
	int r = 0;

	for (size_t k = family_child(f, i); r == 0 && k != BIRTH_NONE;
		k = family_child_after(f, k)) {
		if (own && f->v[k].mm)
			r = mm_room_add(&t->room, own, f->v[k].mm, &f->v[k].wants);
	}
	if (t->room.n_own)
		t->mm = &t->room.mm;
	return r;
}

static int find_keeps(struct family *f, size_t i)
{
	int r = 0;

	for (size_t k = family_child(f, i); r == 0 && k != BIRTH_NONE; k = family_child_after(f, k))
		if (f->v[i].mm && f->v[k].mm)
			r = mm_find_kept(f->v[i].mm, f->v[k].mm, &f->v[k].keeps);
	return r;
}

/* ------------------------------------------------------------------ the whole */

static int find_members(struct family *f, const struct model *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->tree->n; i++) {
		const struct birth *b = &f->tree->v[i];

		if (b->kind != BIRTH_TASK)
			continue;
		f->v[i].mm = model_get(m, &res_mm.type, (uint64_t)b->pid);
		f->v[i].is_born_with = b->when == BIRTH_FILLED;
		if (f->v[i].is_born_with)
			f->v[b->maker].bears = true;
		r = find_pages(f, m, i);
	}
	return r;
}

int family_new(
	struct ckpt_op *op, const struct model *m, const struct tree *tree, struct family *ret)
{
	int r;

	*ret = (struct family){.op = op, .tree = tree};
	ret->v = calloc(tree->n, sizeof(*ret->v));
	if (!ret->v)
		return family_oom(ret);
	r = find_members(ret, m);
	if (r == 0)
		r = number_tasks(ret);
	if (r == 0)
		r = find_spread(ret);
	if (r < 0)
		return r;
	/* children have told before their parents are asked */
	for (size_t i = tree->n; r == 0 && i-- > 0;) {
		r = make_room(ret, i);
		if (r == 0)
			r = find_keeps(ret, i);
		if (r == 0 && ret->v[i].is_born_with)
			r = find_wants(ret, i);
	}
	return r < 0 ? family_oom(ret) : 0;
}

void family_done(struct family *f)
{
	for (size_t i = 0; f->v && i < f->tree->n; i++) {
		page_map_done(&f->v[i].has);
		page_map_done(&f->v[i].wants);
		page_map_done(&f->v[i].keeps);
		mm_room_done(&f->v[i].room);
	}
	spread_done(&f->spread);
	free(f->v);
	*f = (struct family){0};
}
