/*
 * mm_room.c - see mm_room.h.
 */
#include "res/mm/mm_room.h"

#include <errno.h>
#include <stdlib.h>

#include "util/vec.h"

#define PAGES_WORTH 4 /* two system calls more */

/* What can be mapped a second time without harm. */
static bool is_plain(const Ckpt__Vma *v)
{
	return (v->kind == CKPT__VMA__KIND__ANON || v->kind == CKPT__VMA__KIND__FILE) &&
	       !v->shared && !v->page_bytes && !v->growsdown && !v->droppable && !v->pkey &&
	       !(v->flags & (VMF_DC | VMF_WF));
}

static uint64_t bytes_within(const struct page_map *pages, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < pages->n; i++) {
		const struct page_span *s = &pages->v[i];

		if (s->start < end && s->end > start)
			bytes += MIN(s->end, end) - MAX(s->start, start);
	}
	return bytes;
}

static int add_part(struct mm_room *room, const Ckpt__Vma *of, uint64_t start, uint64_t end)
{
	Ckpt__Vma *part;

	if (vec_reserve(&room->own, &room->cap_own, room->n_own + 1, sizeof(Ckpt__Vma *)) < 0 ||
		!(part = malloc(sizeof(*part))))
		return -ENOMEM;
	*part = *of;
	part->start = start;
	part->end = end;
	if (part->kind == CKPT__VMA__KIND__FILE)
		part->offset += start - of->start;
	room->own[room->n_own++] = part;
	return 0;
}

/* The parts of a mapping for which there is room. @k: the first mapping that may stand in the way */
static int add_mapping(struct mm_room *room, const Ckpt__Mm *mm, const Ckpt__Vma *v,
	const struct page_map *pages, size_t *k)
{
	uint64_t at = v->start;
	int r = 0;

	while (*k < mm->n_vmas && mm->vmas[*k]->end <= at)
		++*k;
	for (size_t i = *k; r == 0 && at < v->end; i++) {
		uint64_t end = i < mm->n_vmas ? MIN(mm->vmas[i]->start, v->end) : v->end;

		if (at < end && is_plain(v) &&
			bytes_within(pages, at, end) >= PAGES_WORTH * MM_PAGE)
			r = add_part(room, v, at, end);
		at = i < mm->n_vmas ? MAX(at, mm->vmas[i]->end) : v->end;
	}
	return r;
}

static int by_start(const void *a, const void *b)
{
	const Ckpt__Vma *x = *(Ckpt__Vma *const *)a, *y = *(Ckpt__Vma *const *)b;

	return (x->start > y->start) - (x->start < y->start);
}

/* All of @mm, and what is there for others. */
static int list(struct mm_room *room, const Ckpt__Mm *mm)
{
	Ckpt__Vma **v = calloc(mm->n_vmas + room->n_own, sizeof(Ckpt__Vma *));
	int r = 0;

	if (!v)
		return -ENOMEM;
	if (mm->n_vmas)
		memcpy(v, mm->vmas, mm->n_vmas * sizeof(Ckpt__Vma *));
	memcpy(v + mm->n_vmas, room->own, room->n_own * sizeof(Ckpt__Vma *));
	qsort(v, mm->n_vmas + room->n_own, sizeof(Ckpt__Vma *), by_start);
	qsort(room->own, room->n_own, sizeof(Ckpt__Vma *), by_start);
	free(room->mm.vmas);
	room->mm = *mm;
	room->mm.vmas = v;
	room->mm.n_vmas = mm->n_vmas + room->n_own;
	room->added.n = 0;
	for (size_t i = 0; r == 0 && i < room->n_own; i++)
		r = page_map_add(&room->added, room->own[i]->start, room->own[i]->end, 1);
	return r;
}

int mm_room_add(struct mm_room *room, const Ckpt__Mm *mm, const Ckpt__Mm *other,
	const struct page_map *pages)
{
	const Ckpt__Mm *all = room->n_own ? &room->mm : mm;
	size_t had = room->n_own, k = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && pages->n && i < other->n_vmas; i++)
		r = add_mapping(room, all, other->vmas[i], pages, &k);
	return r == 0 && room->n_own > had ? list(room, mm) : r;
}

void mm_room_done(struct mm_room *room)
{
	for (size_t i = 0; i < room->n_own; i++)
		free(room->own[i]);
	free(room->own);
	free(room->mm.vmas);
	page_map_done(&room->added);
	*room = (struct mm_room){0};
}
