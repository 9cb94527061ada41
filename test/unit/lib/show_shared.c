/*
 * show_shared.c - three tasks made by hand: what several of them have, counted by hand.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "lib/show.h"
#include "proto/mm.pb-c.h"
#include "proto/pages.pb-c.h"
#include "util/str.h"

#define PAGE 4096ULL

static Ckpt__Pages *add_task(struct loaded *l, uint64_t pid)
{
	Ckpt__Pages *pages = calloc(1, sizeof(*pages));
	Ckpt__Mm *mm = calloc(1, sizeof(*mm));
	Ckpt__Vma *v = calloc(1, sizeof(*v));

	ckpt__pages__init(pages);
	ckpt__mm__init(mm);
	ckpt__vma__init(v);
	v->start = 0x10000;
	v->end = 0x20000;
	mm->vmas = calloc(1, sizeof(Ckpt__Vma *));
	mm->vmas[mm->n_vmas++] = v;
	cr_assert_eq(model_add_take(&l->model, load_type("mm"), pid, &mm->base), 0);
	cr_assert_eq(model_add_take(&l->model, load_type("pages"), pid, &pages->base), 0);
	return pages;
}

/* @of: 0: its own */
static void add_run(Ckpt__Pages *pages, uint64_t page, uint64_t n, int of)
{
	Ckpt__PageRun *run = calloc(1, sizeof(*run));

	ckpt__page_run__init(run);
	run->kind = of ? CKPT__PAGE_RUN__KIND__ALIAS : CKPT__PAGE_RUN__KIND__SHARD;
	run->start = page * PAGE;
	run->pages = n;
	run->of = of;
	pages->runs = realloc(pages->runs, (pages->n_runs + 1) * sizeof(Ckpt__PageRun *));
	pages->runs[pages->n_runs++] = run;
}

static void three_tasks(struct loaded *l)
{
	Ckpt__Pages *pages;

	*l = (struct loaded){};
	model_init(&l->model);
	pages = add_task(l, 1);
	add_run(pages, 0x10, 8, 0);
	pages = add_task(l, 2);
	add_run(pages, 0x10, 4, 1); /* 10-13 of the first */
	add_run(pages, 0x14, 2, 0); /* its own */
	add_run(pages, 0x18, 4, 0);
	pages = add_task(l, 3);
	add_run(pages, 0x12, 4, 1); /* 12-15 of the first */
	add_run(pages, 0x1a, 1, 2); /* and one of the second */
}

static uint64_t pages_of(const struct shared_pages *s, const struct loaded *l, uint64_t pid,
	uint64_t first, uint64_t end)
{
	return shared_bytes(s, l, pid, first * PAGE, end * PAGE) / PAGE;
}

Test(show_shared, counts)
{
	struct shared_pages s;
	struct loaded l;

	three_tasks(&l);
	cr_assert_eq(shared_new(&l, &s), 0);
	cr_expect_eq(page_map_bytes(&s.owned), 7 * PAGE); /* 10-15 and 1a */
	cr_expect_eq(s.alias_bytes, 9 * PAGE);
	cr_expect_eq(pages_of(&s, &l, 1, 0, 0x100), 6);
	cr_expect_eq(pages_of(&s, &l, 2, 0, 0x100), 5);
	cr_expect_eq(pages_of(&s, &l, 3, 0, 0x100), 5);
	cr_expect_eq(pages_of(&s, &l, 1, 0x13, 0x15), 2, "a part of a stretch");
	cr_expect_eq(pages_of(&s, &l, 3, 0x13, 0x1a), 3);
	cr_expect_eq(pages_of(&s, &l, 4, 0, 0x100), 0, "nobody");
	shared_done(&s);
	model_done(&l.model);
}

Test(show_shared, text)
{
	struct shared_pages s;
	char *text = NULL;
	struct loaded l;
	size_t len;
	FILE *f;

	three_tasks(&l);
	cr_assert_eq(shared_new(&l, &s), 0);
	f = open_memstream(&text, &len);
	show_memory(&l, &s, 2, f);
	fclose(f);
	cr_expect(strstr(text, "in image  in others\n"), "%s", text);
	cr_expect(strstr(text,
			  "anonymous                    1    64.0 KiB    24.0 KiB    20.0 KiB\n"),
		"%s", text);
	free(text);
	shared_done(&s);
	model_done(&l.model);
}
