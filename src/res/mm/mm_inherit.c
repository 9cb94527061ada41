/*
 * mm_inherit.c - see mm_inherit.h.
 */
#include "res/mm/mm_inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "util/vec.h"

/* ------------------------------------------------------------------ mappings */

/* What a fork does not hand on as it is. The locked and the sealed are so only at the end of a plan. */
static bool is_handed_on(const Ckpt__Vma *v)
{
	return !(v->flags & (VMF_DC | VMF_WF)) && !v->droppable && !v->page_bytes;
}

/* Whether two mappings differ only in where they begin and end. */
static bool is_alike(const Ckpt__Vma *a, const Ckpt__Vma *b)
{
	bool whole = a->start == b->start && a->end == b->end;

	if (a->kind != b->kind || a->prot != b->prot || a->shared != b->shared ||
		a->file != b->file || a->flags != b->flags || a->noreserve != b->noreserve ||
		a->growsdown != b->growsdown || a->accounted != b->accounted ||
		strcmp(a->name, b->name) != 0 || !is_handed_on(a) || !is_handed_on(b))
		return false;
	if (a->kind == CKPT__VMA__KIND__FILE && a->start - a->offset != b->start - b->offset)
		return false;
	/* a stack that has grown is a new one; it is small */
	return whole || (!a->growsdown && a->kind != CKPT__VMA__KIND__VDSO);
}

#define KEPT 1 /* in a map of pages: by whom makes no difference */

/* Neighbours that were kept of two mappings are one: they are asked for by address only. */
int mm_find_kept(const Ckpt__Mm *parent, const Ckpt__Mm *child, struct page_map *ret)
{
	size_t i = 0, k = 0;

	while (i < parent->n_vmas && k < child->n_vmas) {
		const Ckpt__Vma *a = parent->vmas[i], *b = child->vmas[k];
		uint64_t start = MAX(a->start, b->start), end = MIN(a->end, b->end);

		if (start < end && is_alike(a, b) && page_map_add(ret, start, end, KEPT) < 0)
			return -ENOMEM;
		if (a->end < b->end)
			i++;
		else
			k++;
	}
	return 0;
}

/* ------------------------------------------------------------------ whether at all */

static bool has_keys(const Ckpt__Mm *mm)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->pkey)
			return true;
	return false;
}

/* The vdso is one for all parts: it is kept as it is, or nothing is. */
static bool same_vdso(const Ckpt__Mm *a, const Ckpt__Mm *b)
{
	size_t i = 0, k = 0;

	if (a->vdso.len != b->vdso.len ||
		(a->vdso.len && memcmp(a->vdso.data, b->vdso.data, a->vdso.len) != 0))
		return false;
	for (;; i++, k++) {
		while (i < a->n_vmas && a->vmas[i]->kind != CKPT__VMA__KIND__VDSO)
			i++;
		while (k < b->n_vmas && b->vmas[k]->kind != CKPT__VMA__KIND__VDSO)
			k++;
		if (i == a->n_vmas || k == b->n_vmas)
			return i == a->n_vmas && k == b->n_vmas;
		if (!is_alike(a->vmas[i], b->vmas[k]))
			return false;
	}
}

bool mm_can_inherit(const struct model *m, pid_t parent, pid_t child)
{
	const Ckpt__Mm *a = model_get(m, &res_mm.type, (uint64_t)parent),
		       *b = model_get(m, &res_mm.type, (uint64_t)child);

	return a && b && a->exe_file == b->exe_file && !has_keys(a) && !has_keys(b) &&
	       same_vdso(a, b);
}

/* ------------------------------------------------------------------ steps */

/* Call f for what of [start, end) is not kept. */
static void each_other(const struct page_map *keep, uint64_t start, uint64_t end,
	void (*f)(uint64_t start, uint64_t end, void *arg), void *arg)
{
	for (size_t i = 0; i < keep->n && start < end; i++) {
		const struct page_span *k = &keep->v[i];

		if (k->end <= start || k->start >= end)
			continue;
		if (k->start > start)
			f(start, k->start, arg);
		start = k->end;
	}
	if (start < end)
		f(start, end, arg);
}

static void unmap(uint64_t start, uint64_t end, void *arg)
{
	struct prog *prog = arg;

	PROG_CALL(prog, "mm: forget what the parent had", SYS_munmap, IMM(start), IMM(end - start));
	prog_object(prog, "%llx-%llx", (unsigned long long)start, (unsigned long long)end);
}

/* Mappings, or parts of them, that are not inherited. */
struct rest {
	Ckpt__Mm mm;
	Ckpt__Vma *parts;
	const Ckpt__Vma *of;
	size_t cap;
	int err;
};

static void add_part(uint64_t start, uint64_t end, void *arg)
{
	struct rest *rest = arg;
	Ckpt__Vma *part;

	if (vec_reserve(&rest->parts, &rest->cap, rest->mm.n_vmas + 1, sizeof(*rest->parts)) < 0) {
		rest->err = -ENOMEM;
		return;
	}
	part = &rest->parts[rest->mm.n_vmas++];
	*part = *rest->of;
	part->start = start;
	part->end = end;
	if (part->kind == CKPT__VMA__KIND__FILE)
		part->offset += start - rest->of->start;
}

/* As an address space, so that it is mapped as any other. */
static void plan_rest(
	struct plan *p, const struct page_map *keep, const Ckpt__Mm *mm, struct prog *prog)
{
	struct rest rest = {.mm = *mm};

	rest.mm.n_vmas = 0;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		rest.of = mm->vmas[i];
		each_other(keep, mm->vmas[i]->start, mm->vmas[i]->end, add_part, &rest);
	}
	rest.mm.vmas = calloc(rest.mm.n_vmas + 1, sizeof(*rest.mm.vmas));
	if (!rest.mm.vmas || rest.err) {
		prog->err = -ENOMEM;
		rest.mm.n_vmas = 0;
	}
	for (size_t i = 0; i < rest.mm.n_vmas; i++)
		rest.mm.vmas[i] = &rest.parts[i];
	mm_plan_mappings(p, &rest.mm, prog);
	free(rest.mm.vmas);
	free(rest.parts);
}

void mm_plan_drop(const struct page_map *drop, struct prog *prog)
{
	for (size_t i = 0; i < drop->n; i++) {
		const struct page_span *d = &drop->v[i];

		PROG_CALL(prog, "mm: drop pages of the parent", SYS_madvise, IMM(d->start),
			IMM(d->end - d->start), IMM(MADV_DONTNEED));
		prog_object(prog, "%llx-%llx", (unsigned long long)d->start,
			(unsigned long long)d->end);
	}
}

void mm_plan_unroom(const struct page_map *added, struct prog *prog)
{
	for (size_t i = 0; i < added->n; i++) {
		const struct page_span *s = &added->v[i];

		PROG_CALL(prog, "mm: forget what only its children have", SYS_munmap, IMM(s->start),
			IMM(s->end - s->start));
		prog_object(prog, "%llx-%llx", (unsigned long long)s->start,
			(unsigned long long)s->end);
	}
}

void mm_plan_inherited(struct plan *p, struct prog *prog)
{
	const Ckpt__Mm *parent = p->born->of;
	struct page_map keep = {0};

	if (mm_find_kept(parent, p->born->mm, &keep) < 0) {
		prog->err = -ENOMEM;
		page_map_done(&keep);
		return;
	}
	for (size_t i = 0; i < parent->n_vmas; i++)
		each_other(&keep, parent->vmas[i]->start, parent->vmas[i]->end, unmap, prog);
	plan_rest(p, &keep, p->born->mm, prog);
	mm_plan_drop(p->born->drop, prog);
	page_map_done(&keep);
}
