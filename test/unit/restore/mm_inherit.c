/*
 * mm_inherit.c - a parent and its child made by hand, and what of it the child keeps.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "res/mm/mm_inherit.h"
#include "util/str.h"

#define PARENT 10
#define CHILD  11
#define OTHER  12

/* Everything is on the heap, as a model takes it. */
struct family {
	struct model model;
	Ckpt__Mm *parent, *child;
};

static Ckpt__Mm *add_mm(struct family *f, uint64_t pid)
{
	Ckpt__Mm *mm = calloc(1, sizeof(*mm));

	ckpt__mm__init(mm);
	mm->exe_file = 7;
	cr_assert_eq(model_add_take(&f->model, &res_mm.type, pid, &mm->base), 0);
	return mm;
}

static void family_init(struct family *f)
{
	model_init(&f->model);
	f->parent = add_mm(f, PARENT);
	f->child = add_mm(f, CHILD);
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

/* What is kept, as text. Ends the family. */
static void expect(struct family *f, const char *want)
{
	struct page_map keep = {0};
	struct strbuf sb = {0};
	char *text = NULL;

	cr_assert_eq(mm_find_kept(f->parent, f->child, &keep), 0);
	for (size_t i = 0; i < keep.n; i++)
		strbuf_addf(&sb, "%s%llx-%llx", i ? " " : "", (unsigned long long)keep.v[i].start,
			(unsigned long long)keep.v[i].end);
	cr_assert_eq(strbuf_take(&sb, &text), 0);
	cr_expect_str_eq(text, want);
	free(text);
	page_map_done(&keep);
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
	expect(&f, "10000-14000 21000-23000");
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
	expect(&f, "20000-22000 26000-28000 30000-31000");
}

Test(mm_inherit, protections_that_differ)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x13000);
	add_anon(f.child, 0x10000, 0x11000);
	add_anon(f.child, 0x11000, 0x12000)->prot = 1;
	add_anon(f.child, 0x12000, 0x13000);
	expect(&f, "10000-11000 12000-13000");
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
	expect(&f, "12000-14000");
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
	expect(&f, "500000-501000");
}

Test(mm_inherit, stacks)
{
	struct family f;

	family_init(&f);
	add_anon(f.parent, 0x10000, 0x12000)->growsdown = true;
	add_anon(f.child, 0x10000, 0x12000)->growsdown = true;
	add_anon(f.parent, 0x21000, 0x22000)->growsdown = true;
	add_anon(f.child, 0x20000, 0x22000)->growsdown = true; /* has grown */
	expect(&f, "10000-12000");
}

/* ---- whether at all ---- */

/* Two with all that could stand against it. */
static void alike_init(struct family *f)
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
}

static void inherits(struct family *f, bool want, const char *what)
{
	cr_expect_eq(mm_can_inherit(&f->model, PARENT, CHILD), want, "%s", what);
	model_done(&f->model);
}

Test(mm_inherit, who_can_inherit)
{
	struct family f;

	alike_init(&f);
	cr_expect(!mm_can_inherit(&f.model, OTHER, CHILD), "a parent without memory");
	inherits(&f, true, "nothing stands against it");
	alike_init(&f);
	f.child->exe_file = 8;
	inherits(&f, false, "another program");
	alike_init(&f);
	f.parent->vmas[0]->pkey = 1;
	inherits(&f, false, "protection keys");
}

Test(mm_inherit, a_vdso_that_differs)
{
	struct family f;

	alike_init(&f);
	f.child->vmas[1]->start = 0x73000;
	f.child->vmas[1]->end = 0x75000;
	inherits(&f, false, "moved");
	alike_init(&f);
	f.child->vmas[1]->end = 0x71000;
	inherits(&f, false, "cut");
	alike_init(&f);
	f.child->vmas[1]->kind = CKPT__VMA__KIND__ANON;
	inherits(&f, false, "unmapped");
	alike_init(&f);
	f.child->vdso.data[0] = 'X';
	inherits(&f, false, "of another kernel");
}
