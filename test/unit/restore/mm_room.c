/*
 * mm_room.c - address spaces made by hand, and where one gets room for what the other has.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "res/mm/mm_room.h"
#include "util/str.h"

static Ckpt__Vma *add(Ckpt__Mm *mm, uint64_t start, uint64_t end)
{
	Ckpt__Vma *v = calloc(1, sizeof(*v));

	ckpt__vma__init(v);
	v->start = start;
	v->end = end;
	mm->vmas = realloc(mm->vmas, (mm->n_vmas + 1) * sizeof(Ckpt__Vma *));
	mm->vmas[mm->n_vmas++] = v;
	return v;
}

static void mm_free(Ckpt__Mm *mm)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		free(mm->vmas[i]);
	free(mm->vmas);
}

/* "added: all", as ranges in pages; of a file with its offset. */
static void expect(struct mm_room *room, const char *want)
{
	struct strbuf sb = {0};
	char *text = NULL;

	for (size_t i = 0; i < room->added.n; i++)
		strbuf_addf(&sb, "%llx-%llx ", (unsigned long long)room->added.v[i].start >> 12,
			(unsigned long long)room->added.v[i].end >> 12);
	strbuf_add(&sb, ":");
	for (size_t i = 0; i < room->mm.n_vmas; i++) {
		const Ckpt__Vma *v = room->mm.vmas[i];

		strbuf_addf(&sb, " %llx-%llx", (unsigned long long)v->start >> 12,
			(unsigned long long)v->end >> 12);
		if (v->kind == CKPT__VMA__KIND__FILE)
			strbuf_addf(&sb, "+%llx", (unsigned long long)v->offset >> 12);
	}
	cr_assert_eq(strbuf_take(&sb, &text), 0);
	cr_expect_str_eq(text, want);
	free(text);
}

Test(mm_room, holes)
{
	struct page_span all[] = {{0, 0x1000000, 7}};
	struct page_map pages = {all, 1, 1};
	struct mm_room room = {0};
	Ckpt__Mm a = CKPT__MM__INIT, b = CKPT__MM__INIT, c = CKPT__MM__INIT;
	Ckpt__Vma *v;

	add(&a, 0x10000, 0x14000);
	add(&a, 0x20000, 0x24000);
	add(&b, 0x10000, 0x18000);     /* four more behind */
	v = add(&b, 0x1c000, 0x30000); /* four more before, and twelve behind */
	v->kind = CKPT__VMA__KIND__FILE;
	v->offset = 0x5000;
	add(&b, 0x40000, 0x43000); /* too little */
	cr_assert_eq(mm_room_add(&room, &a, &b, &pages), 0);
	expect(&room, "14-18 1c-20 24-30 : 10-14 14-18 1c-20+5 20-24 24-30+d");
	add(&c, 0x10000, 0x1c000); /* another one: between the two */
	cr_assert_eq(mm_room_add(&room, &a, &c, &pages), 0);
	expect(&room, "14-20 24-30 : 10-14 14-18 18-1c 1c-20+5 20-24 24-30+d");
	mm_room_done(&room);
	mm_free(&a);
	mm_free(&b);
	mm_free(&c);
}

Test(mm_room, no_pages_and_what_is_not_for_two)
{
	struct page_span some[] = {{0x10000, 0x14000, 7}, {0x50000, 0x100000, 7}};
	struct page_map pages = {some, 2, 2};
	struct mm_room room = {0};
	Ckpt__Mm a = CKPT__MM__INIT, b = CKPT__MM__INIT;

	add(&b, 0x10000, 0x14000);
	add(&b, 0x20000, 0x28000); /* nobody wants it */
	add(&b, 0x50000, 0x58000)->shared = true;
	add(&b, 0x60000, 0x68000)->growsdown = true;
	add(&b, 0x70000, 0x78000)->flags = VMF_WF;
	add(&b, 0x80000, 0x88000)->kind = CKPT__VMA__KIND__VDSO;
	add(&b, 0x90000, 0x98000)->pkey = 1;
	cr_assert_eq(mm_room_add(&room, &a, &b, &pages), 0);
	expect(&room, "10-14 : 10-14");
	mm_room_done(&room);
	mm_free(&b);
}
