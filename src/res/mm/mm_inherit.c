/*
 * mm_inherit.c - see mm_inherit.h.
 */
#include "res/mm/mm_inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "model/pages.h"
#include "proto/core.pb-c.h"
#include "proto/pages.pb-c.h"
#include "util/vec.h"

#define COPIES_WORTH (4 * MM_PAGE)

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

static int add(struct mm_range **v, size_t *n, size_t *cap, uint64_t start, uint64_t end)
{
	if (start >= end)
		return 0;
	if (*n && (*v)[*n - 1].end == start) {
		(*v)[*n - 1].end = end;
		return 0;
	}
	if (vec_reserve(v, cap, *n + 1, sizeof(**v)) < 0)
		return -ENOMEM;
	(*v)[(*n)++] = (struct mm_range){start, end};
	return 0;
}

/* What both have. Neighbours that were kept of two mappings stay two: they are asked for by address only. */
static int find_kept(const Ckpt__Mm *parent, const Ckpt__Mm *mm, struct mm_inherit *ret)
{
	size_t i = 0, k = 0;

	while (i < parent->n_vmas && k < mm->n_vmas) {
		const Ckpt__Vma *a = parent->vmas[i], *b = mm->vmas[k];
		uint64_t start = MAX(a->start, b->start), end = MIN(a->end, b->end);

		if (start < end && is_alike(a, b) &&
			add(&ret->keep, &ret->n_keep, &ret->cap_keep, start, end) < 0)
			return -ENOMEM;
		if (a->end < b->end)
			i++;
		else
			k++;
	}
	return 0;
}

/* ------------------------------------------------------------------ pages */

/* Walks the runs of a task by address. */
struct walk {
	pid_t pid;
	Ckpt__PageRun *const *runs;
	size_t n, at;
};

#define OF_NOBODY 0  /* no page */
#define OF_ZEROS  -1 /* a page of zeros */

static struct walk walk_of(const struct model *m, pid_t pid)
{
	const ProtobufCMessage *pages = model_get(m, &res_pages.type, (uint64_t)pid);
	struct walk w = {.pid = pid};

	if (pages)
		w.n = pages_runs(pages, &w.runs);
	return w;
}

/* Whose pages are at an address, and up to where that holds. */
static pid_t walk_look(struct walk *w, uint64_t at, uint64_t *end)
{
	const Ckpt__PageRun *run;

	while (w->at < w->n && w->runs[w->at]->start + pages_run_bytes(w->runs[w->at]) <= at)
		w->at++;
	if (w->at == w->n)
		return OF_NOBODY;
	run = w->runs[w->at];
	if (run->start > at) {
		*end = MIN(*end, run->start);
		return OF_NOBODY;
	}
	*end = MIN(*end, run->start + pages_run_bytes(run));
	return run->kind == CKPT__PAGE_RUN__KIND__ZERO    ? OF_ZEROS
	       : run->kind == CKPT__PAGE_RUN__KIND__ALIAS ? run->of
							  : w->pid;
}

/*
 * A page that the child has not has to go; one in whose place it has its own may go, so that its contents
 * go into fresh memory and not into a copy of its parent's. One call costs about as much as a few copies.
 */
static bool is_dropped(pid_t parent, pid_t child, uint64_t bytes)
{
	return parent != OF_NOBODY && parent != child &&
	       (child == OF_NOBODY || bytes >= COPIES_WORTH);
}

static int compare_pages(const struct model *m, pid_t parent, pid_t child, struct mm_inherit *ret)
{
	struct walk theirs = walk_of(m, parent), own = walk_of(m, child);

	for (size_t i = 0; i < ret->n_keep; i++) {
		uint64_t end;

		for (uint64_t at = ret->keep[i].start; at < ret->keep[i].end; at = end) {
			pid_t a, b;
			int r = 0;

			end = ret->keep[i].end;
			a = walk_look(&theirs, at, &end);
			b = walk_look(&own, at, &end);
			if (a != OF_NOBODY && a == b)
				r = add(&ret->same, &ret->n_same, &ret->cap_same, at, end);
			else if (is_dropped(a, b, end - at))
				r = add(&ret->drop, &ret->n_drop, &ret->cap_drop, at, end);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------ the whole */

int mm_inherit_new(const struct model *m, pid_t parent, pid_t child, struct mm_inherit *ret)
{
	const Ckpt__Mm *a = model_get(m, &res_mm.type, (uint64_t)parent),
		       *b = model_get(m, &res_mm.type, (uint64_t)child);
	int r = 0;

	*ret = (struct mm_inherit){0};
	if (a && b)
		r = find_kept(a, b, ret);
	if (r == 0)
		r = compare_pages(m, parent, child, ret);
	if (r < 0)
		mm_inherit_done(ret);
	return r;
}

void mm_inherit_done(struct mm_inherit *in)
{
	free(in->keep);
	free(in->same);
	free(in->drop);
	*in = (struct mm_inherit){0};
}

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

bool mm_shares_pages(const struct model *m, pid_t parent, pid_t child)
{
	const Ckpt__Mm *a = model_get(m, &res_mm.type, (uint64_t)parent),
		       *b = model_get(m, &res_mm.type, (uint64_t)child);
	struct walk own = walk_of(m, child);
	bool any = false;

	if (!a || !b || a->exe_file != b->exe_file || has_keys(a) || has_keys(b) ||
		!same_vdso(a, b))
		return false;
	for (size_t i = 0; i < own.n && !any; i++)
		any = own.runs[i]->kind == CKPT__PAGE_RUN__KIND__ALIAS;
	return any;
}

/* ------------------------------------------------------------------ steps */

/* Call f for what of [start, end) is not kept. */
static void each_other(const struct mm_inherit *in, uint64_t start, uint64_t end,
	void (*f)(uint64_t start, uint64_t end, void *arg), void *arg)
{
	for (size_t i = 0; i < in->n_keep && start < end; i++) {
		const struct mm_range *k = &in->keep[i];

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
	struct plan *p, const struct mm_inherit *in, const Ckpt__Mm *mm, struct prog *prog)
{
	struct rest rest = {.mm = *mm};

	rest.mm.n_vmas = 0;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		rest.of = mm->vmas[i];
		each_other(in, mm->vmas[i]->start, mm->vmas[i]->end, add_part, &rest);
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

void mm_plan_inherited(struct plan *p, pid_t child, const Ckpt__Mm *mm, struct prog *prog)
{
	const Ckpt__Mm *parent = model_get(p->model, &res_mm.type, (uint64_t)p->born_of);
	struct mm_inherit in;

	if (!parent || mm_inherit_new(p->model, p->born_of, child, &in) < 0) {
		prog->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < parent->n_vmas; i++)
		each_other(&in, parent->vmas[i]->start, parent->vmas[i]->end, unmap, prog);
	plan_rest(p, &in, mm, prog);
	for (size_t i = 0; i < in.n_drop; i++) {
		PROG_CALL(prog, "mm: drop pages of the parent", SYS_madvise, IMM(in.drop[i].start),
			IMM(in.drop[i].end - in.drop[i].start), IMM(MADV_DONTNEED));
		prog_object(prog, "%llx-%llx", (unsigned long long)in.drop[i].start,
			(unsigned long long)in.drop[i].end);
	}
	mm_inherit_done(&in);
}
