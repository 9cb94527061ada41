/*
 * mm_inherit.c - a parent and its child made by hand, and what the child keeps, has the same, or drops.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "proto/pages.pb-c.h"
#include "res/mm/mm_inherit.h"
#include "util/str.h"

#define PARENT 10
#define CHILD  11
#define OTHER  12 /* a task that both have pages of */

/* Everything is on the heap, as a model takes it. */
struct family {
	struct model model;
	Ckpt__Mm *parent, *child;
	Ckpt__Pages *theirs, *own;
};

static Ckpt__Mm *add_mm(struct family *f, uint64_t pid)
{
	Ckpt__Mm *mm = calloc(1, sizeof(*mm));

	ckpt__mm__init(mm);
	mm->exe_file = 7;
	cr_assert_eq(model_add_take(&f->model, &res_mm.type, pid, &mm->base), 0);
	return mm;
}

static Ckpt__Pages *add_pages(struct family *f, uint64_t pid)
{
	Ckpt__Pages *pages = calloc(1, sizeof(*pages));

	ckpt__pages__init(pages);
	cr_assert_eq(model_add_take(&f->model, &res_pages.type, pid, &pages->base), 0);
	return pages;
}

static void family_init(struct family *f)
{
	model_init(&f->model);
	f->parent = add_mm(f, PARENT);
	f->theirs = add_pages(f, PARENT);
	f->child = add_mm(f, CHILD);
	f->own = add_pages(f, CHILD);
}

static Ckpt__Vma *add(Ckpt__Mm *mm, Ckpt__Vma__Kind kind, uint64_t start, uint64_t end)
{
	Ckpt__Vma *v = calloc(1, sizeof(*v));

	ckpt__vma__init(v);
	v->kind = kind;
	v->start = start;
	v->end = end;
	v->prot = 3;
	mm->vmas = realloc(mm->vmas, (mm->n_vmas + 1) * sizeof(Ckpt__Vma *));
	mm->vmas[mm->n_vmas++] = v;
	return v;
}

static Ckpt__Vma *add_anon(Ckpt__Mm *mm, uint64_t start, uint64_t end)
{
	return add(mm, CKPT__VMA__KIND__ANON, start, end);
}

static Ckpt__Vma *add_file(Ckpt__Mm *mm, uint64_t start, uint64_t end, uint64_t offset)
{
	Ckpt__Vma *v = add(mm, CKPT__VMA__KIND__FILE, start, end);

	v->file = 7;
	v->offset = offset;
	return v;
}

/* @of: of an alias; 0: pages of one's own. */
static Ckpt__PageRun *add_run(Ckpt__Pages *pages, uint64_t start, uint64_t n, int of)
{
	Ckpt__PageRun *run = calloc(1, sizeof(*run));

	ckpt__page_run__init(run);
	run->kind = of ? CKPT__PAGE_RUN__KIND__ALIAS : CKPT__PAGE_RUN__KIND__SHARD;
	run->start = start;
	run->pages = n;
	run->of = of;
	pages->runs = realloc(pages->runs, (pages->n_runs + 1) * sizeof(Ckpt__PageRun *));
	pages->runs[pages->n_runs++] = run;
	return run;
}

static void ranges(struct strbuf *sb, const char *what, const struct mm_range *r, size_t n)
{
	if (n)
		strbuf_add(sb, what);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(sb, " %llx-%llx", (unsigned long long)r[i].start,
			(unsigned long long)r[i].end);
	if (n)
		strbuf_add(sb, "\n");
}

/* One line each of what is kept, the same and dropped; none where there is nothing. Ends the family. */
static void expect(struct family *f, const char *want)
{
	struct strbuf sb = {0};
	struct mm_inherit in;
	char *text = NULL;

	cr_assert_eq(mm_inherit_new(&f->model, PARENT, CHILD, &in), 0);
	strbuf_add(&sb, "");
	ranges(&sb, "keep", in.keep, in.n_keep);
	ranges(&sb, "same", in.same, in.n_same);
	ranges(&sb, "drop", in.drop, in.n_drop);
	cr_assert_eq(strbuf_take(&sb, &text), 0);
	cr_expect_str_eq(text, want);
	free(text);
	mm_inherit_done(&in);
	model_done(&f->model);
}

/* ---- mappings ---- */

Test(mm_inherit, a_heap_that_has_grown)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x14000);
	add_anon(f.child, 0x10000, 0x18000);
	add_anon(f.parent, 0x20000, 0x24000); /* and one that was cut at both ends */
	add_anon(f.child, 0x21000, 0x23000);
	expect(&f, "keep 10000-14000 21000-23000\n");
}

Test(mm_inherit, what_the_child_has_unmapped_or_mapped)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x11000);
	add_anon(f.parent, 0x20000, 0x28000);
	add_anon(f.parent, 0x30000, 0x31000);
	add_anon(f.child, 0x20000, 0x22000); /* a hole in the middle of the second */
	add_anon(f.child, 0x26000, 0x28000);
	add_anon(f.child, 0x30000, 0x31000);
	add_anon(f.child, 0x40000, 0x41000);
	expect(&f, "keep 20000-22000 26000-28000 30000-31000\n");
}

Test(mm_inherit, protections_that_differ)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x13000);
	add_anon(f.child, 0x10000, 0x11000);
	add_anon(f.child, 0x11000, 0x12000)->prot = 1;
	add_anon(f.child, 0x12000, 0x13000);
	expect(&f, "keep 10000-11000 12000-13000\n");
}

Test(mm_inherit, files_at_other_places)
{
	struct family f;

	family_init(&f);
	add_file(f.parent, 0x10000, 0x14000, 0x1000);
	add_file(f.child, 0x12000, 0x14000, 0x3000); /* the same pages of the file */
	add_file(f.parent, 0x20000, 0x22000, 0x1000);
	add_file(f.child, 0x20000, 0x22000, 0x2000);
	add_file(f.parent, 0x30000, 0x32000, 0);
	add_file(f.child, 0x30000, 0x32000, 0)->file = 8;
	add_file(f.parent, 0x40000, 0x42000, 0);
	add_anon(f.child, 0x40000, 0x42000);
	expect(&f, "keep 12000-14000\n");
}

Test(mm_inherit, what_a_fork_does_not_hand_on)
{
	struct family f;

	family_init(&f);
	for (int i = 0; i < 2; i++) {
		Ckpt__Mm *mm = i ? f.child : f.parent;

		add_anon(mm, 0x10000, 0x11000)->flags = VMF_DC;
		add_anon(mm, 0x20000, 0x21000)->flags = VMF_WF;
		add_anon(mm, 0x30000, 0x31000)->droppable = true;
		add_anon(mm, 0x200000, 0x400000)->page_bytes = 2 << 20;
		add_anon(mm, 0x500000, 0x501000)->flags = VMF_HG;
	}
	add_anon(f.parent, 0x600000, 0x601000)->flags = VMF_HG;
	add_anon(f.child, 0x600000, 0x601000); /* advised otherwise */
	expect(&f, "keep 500000-501000\n");
}

Test(mm_inherit, stacks)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x12000)->growsdown = true;
	add_anon(f.child, 0x10000, 0x12000)->growsdown = true;
	add_anon(f.parent, 0x21000, 0x22000)->growsdown = true;
	add_anon(f.child, 0x20000, 0x22000)->growsdown = true; /* has grown */
	expect(&f, "keep 10000-12000\n");
}

/* ---- pages ---- */

Test(mm_inherit, pages_that_are_the_same_dropped_and_own)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x1a000);
	add_anon(f.child, 0x10000, 0x1a000);
	add_run(f.theirs, 0x10000, 6, 0); /* 10-16 the parent's */
	add_run(f.theirs, 0x16000, 2, OTHER);
	add_run(f.own, 0x10000, 2, PARENT); /* 10-12 the same */
	add_run(f.own, 0x12000, 1, 0);      /* 12 written by the child; 13-15 it has not */
	add_run(f.own, 0x15000, 1, PARENT);
	add_run(f.own, 0x16000, 1, OTHER); /* the same by way of a third; 17 is dropped */
	add_run(f.own, 0x18000, 2, 0);     /* only the child has them */
	expect(&f,
		"keep 10000-1a000\nsame 10000-12000 15000-17000\ndrop 13000-15000 17000-18000\n");
}

/* Written into a copy of the parent's, many pages cost more than a call that drops them before. */
Test(mm_inherit, many_pages_in_the_place_of_others)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x40000);
	add_anon(f.child, 0x10000, 0x40000);
	add_run(f.theirs, 0x10000, 0x18, 0);
	add_run(f.own, 0x10000, 0x2, 0);
	add_run(f.own, 0x12000, 0x2, PARENT);
	add_run(f.own, 0x14000, 0x10, 0);
	add_run(f.own, 0x28000, 0x10, 0); /* the parent has none there */
	expect(&f, "keep 10000-40000\nsame 12000-14000\ndrop 14000-28000\n");
}

Test(mm_inherit, pages_outside_of_what_is_kept)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x14000);
	add_anon(f.child, 0x11000, 0x13000);
	add_run(f.theirs, 0x10000, 4, 0);
	add_run(f.own, 0x11000, 1, PARENT);
	expect(&f, "keep 11000-13000\nsame 11000-12000\ndrop 12000-13000\n");
}

/* ---- whether at all ---- */

/* Two that share a page, and all else that could stand against it. */
static void sharing_init(struct family *f)
{
	static const char name[] = "[vdso]";

	family_init(f);
	for (int i = 0; i < 2; i++) {
		Ckpt__Mm *mm = i ? f->child : f->parent;

		add_anon(mm, 0x10000, 0x11000);
		add(mm, CKPT__VMA__KIND__VDSO, 0x70000, 0x72000)->name = strdup(name);
		mm->vdso.data = (uint8_t *)strdup("code");
		mm->vdso.len = 4;
	}
	add_run(f->theirs, 0x10000, 1, 0);
	add_run(f->own, 0x10000, 1, PARENT);
}

static void shares(struct family *f, bool want, const char *what)
{
	cr_expect_eq(mm_shares_pages(&f->model, PARENT, CHILD), want, "%s", what);
	model_done(&f->model);
}

Test(mm_inherit, who_shares_pages)
{
	struct family f;

	sharing_init(&f);
	cr_expect(!mm_shares_pages(&f.model, OTHER, CHILD), "a parent without memory");
	shares(&f, true, "nothing stands against it");
	sharing_init(&f);
	f.own->runs[0]->kind = CKPT__PAGE_RUN__KIND__SHARD;
	shares(&f, false, "all pages are its own");
	sharing_init(&f);
	f.child->exe_file = 8;
	shares(&f, false, "another program");
	sharing_init(&f);
	f.parent->vmas[0]->pkey = 1;
	shares(&f, false, "protection keys");
}

Test(mm_inherit, a_vdso_that_differs)
{
	struct family f;

	sharing_init(&f);
	f.child->vmas[1]->start = 0x73000;
	f.child->vmas[1]->end = 0x75000;
	shares(&f, false, "moved");
	sharing_init(&f);
	f.child->vmas[1]->end = 0x71000;
	shares(&f, false, "cut");
	sharing_init(&f);
	f.child->vmas[1]->kind = CKPT__VMA__KIND__ANON;
	shares(&f, false, "unmapped");
	sharing_init(&f);
	f.child->vdso.data[0] = 'X';
	shares(&f, false, "of another kernel");
}
