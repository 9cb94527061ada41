/*
 * mm_uffd.c - which mappings are filled through a userfaultfd, and the steps for it. A mapping counts from 32
 * pages with contents on, a task from 128.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "model/model.h"
#include "proto/pages.pb-c.h"
#include "res/mm/mm.h"
#include "res/mm/mm_uffd.h"
#include "util/str.h"

#define PID 10
#define MIB (1ULL << 20)

struct space {
	struct model model;
	struct plan plan;
	Ckpt__Mm *mm;
	Ckpt__Pages *pages;
};

static void space_init(struct space *s)
{
	*s = (struct space){0};
	model_init(&s->model);
	s->mm = calloc(1, sizeof(*s->mm));
	ckpt__mm__init(s->mm);
	s->pages = calloc(1, sizeof(*s->pages));
	ckpt__pages__init(s->pages);
	cr_assert_eq(model_add_take(&s->model, &res_mm.type, PID, &s->mm->base), 0);
	cr_assert_eq(model_add_take(&s->model, &res_pages.type, PID, &s->pages->base), 0);
	s->plan = (struct plan){.model = &s->model, .uffd = true};
}

/* A mapping with so many pages of its own from its start on. */
static Ckpt__Vma *add(struct space *s, uint64_t start, uint64_t bytes, uint64_t pages)
{
	Ckpt__PageRun *run = calloc(1, sizeof(*run));
	Ckpt__Vma *v = calloc(1, sizeof(*v));

	ckpt__vma__init(v);
	v->kind = CKPT__VMA__KIND__ANON;
	v->start = start;
	v->end = start + bytes;
	v->prot = 3;
	s->mm->vmas = realloc(s->mm->vmas, (s->mm->n_vmas + 1) * sizeof(Ckpt__Vma *));
	s->mm->vmas[s->mm->n_vmas++] = v;
	ckpt__page_run__init(run);
	run->kind = CKPT__PAGE_RUN__KIND__SHARD;
	run->start = start;
	run->pages = pages;
	s->pages->runs = realloc(s->pages->runs, (s->pages->n_runs + 1) * sizeof(Ckpt__PageRun *));
	s->pages->runs[s->pages->n_runs++] = run;
	return v;
}

/* Ends the space. @only: NULL: everything is filled */
static void expect_of(struct space *s, const struct page_map *only, const char *want)
{
	struct page_map v = {0};
	struct strbuf sb = {0};
	char *text = NULL;

	cr_assert_eq(mm_uffd_ranges(&s->plan, PID, only, &v), 0);
	strbuf_add(&sb, "");
	for (size_t i = 0; i < v.n; i++)
		strbuf_addf(&sb, "%llx-%llx ", (unsigned long long)v.v[i].start,
			(unsigned long long)v.v[i].end);
	cr_assert_eq(strbuf_take(&sb, &text), 0);
	cr_expect_str_eq(text, want);
	free(text);
	page_map_done(&v);
	model_done(&s->model);
}

static void expect(struct space *s, const char *want)
{
	expect_of(s, NULL, want);
}

Test(mm_uffd, what_is_large_enough)
{
	struct space s;

	space_init(&s);
	add(&s, 1 * MIB, MIB, 31);
	add(&s, 2 * MIB, MIB, 127);
	expect(&s, "");
	space_init(&s);
	add(&s, 1 * MIB, MIB, 31);
	add(&s, 2 * MIB, MIB, 128);
	expect(&s, "200000-300000 ");
	space_init(&s);
	add(&s, 1 * MIB, MIB, 32);
	add(&s, 4 * MIB, MIB, 96);
	expect(&s, "100000-200000 400000-500000 ");
}

Test(mm_uffd, one_run_over_two_mappings)
{
	struct space s;

	space_init(&s);
	add(&s, 1 * MIB, MIB, 512);
	add(&s, 2 * MIB, MIB, 1)->prot = 1;
	s.pages->runs[1]->start = 3 * MIB;
	expect(&s, "100000-300000 "); /* both at once */
}

Test(mm_uffd, other_kinds_of_memory)
{
	struct space s;

	space_init(&s);
	add(&s, 1 * MIB, MIB, 256)->kind = CKPT__VMA__KIND__FILE;
	add(&s, 2 * MIB, MIB, 256)->shared = true;
	add(&s, 4 * MIB, 2 * MIB, 512)->page_bytes = 2 * MIB;
	add(&s, 6 * MIB, MIB, 256)->droppable = true;
	add(&s, 7 * MIB, MIB, 256)->growsdown = true;
	expect(&s, "");
}

Test(mm_uffd, what_would_be_given_huge_pages)
{
	struct space s;

	space_init(&s);
	s.plan.thp_bytes = 2 * MIB;
	add(&s, 1 * MIB, 3 * MIB, 256); /* has one at 2 MiB */
	add(&s, 5 * MIB, 2 * MIB, 256); /* has none: 5 to 7 */
	add(&s, 8 * MIB, 2 * MIB, 256)->flags = VMF_NH;
	expect(&s, "500000-700000 800000-a00000 ");
	space_init(&s);
	s.plan.thp_bytes = 2 * MIB;
	s.mm->thp_disabled = true;
	add(&s, 2 * MIB, 4 * MIB, 256);
	expect(&s, "200000-600000 ");
	space_init(&s);
	add(&s, 2 * MIB, 4 * MIB, 256)->flags = VMF_HG;
	expect(&s, "");
}

/* By task and then address, as lend.h has it. */
Test(mm_uffd, what_is_filled_of_it)
{
	struct page_span spans[] = {{3 * MIB, 3 * MIB + 0x40000, 5},
		{4 * MIB, 4 * MIB + 0x1f000, 5}, {1 * MIB, 1 * MIB + 0x20000, 6},
		{3 * MIB + 0x40000, 3 * MIB + 0x80000, 6}};
	struct page_map only = {.v = spans, .n = 4};
	struct space s;

	space_init(&s);
	for (uint64_t at = 1; at <= 4; at++)
		add(&s, at * MIB, MIB / 2, 128);
	expect_of(&s, &only, "100000-180000 300000-380000 ");
}

Test(mm_uffd, the_steps)
{
	struct prog prog = {0};
	struct space s;
	size_t first;

	space_init(&s);
	add(&s, 1 * MIB, MIB, 128);
	add(&s, 4 * MIB, MIB, 128);
	prog_add(&prog, &(struct prog_step){.op = AGENT_ARRIVE});
	first = mm_uffd_plan(&s.plan, PID, NULL, &prog);
	cr_assert_eq(first, 1);
	mm_uffd_plan_close(first, &prog);
	cr_assert_eq(prog.err, 0);
	cr_assert_eq(prog.n, 6, "%zu steps", prog.n);
	cr_expect_eq(prog.steps[1].nr, SYS_userfaultfd);
	cr_expect_eq(prog.steps[1].args[0].value, 02000001, "close-on-exec, user mode only");
	for (size_t i = 1; i < prog.n; i++)
		cr_expect_eq(prog.steps[i].expect, AGENT_EXPECT_ANY, "it can do without");
	cr_expect_eq(prog.steps[2].args[1].value, 0xc018aa3f, "UFFDIO_API");
	for (size_t i = 0; i < 2; i++) {
		const struct prog_step *reg = &prog.steps[mm_uffd_registered(first, i)];

		cr_expect_eq(reg->nr, SYS_ioctl);
		cr_expect(reg->args[0].kind == PROG_RESULT && reg->args[0].value == first);
		cr_expect_eq(reg->args[1].value, 0xc020aa00, "UFFDIO_REGISTER");
		cr_expect_eq(*(uint64_t *)(prog.data + reg->args[2].value), i ? 4 * MIB : MIB);
	}
	cr_expect_eq(prog.steps[5].nr, SYS_close);
	cr_expect(
		prog.steps[5].args[0].kind == PROG_RESULT && prog.steps[5].args[0].value == first);
	prog_done(&prog);
	s.plan.uffd = false;
	cr_expect_eq(mm_uffd_plan(&s.plan, PID, NULL, &prog), MM_NO_UFFD);
	cr_expect_eq(prog.n, 0);
	model_done(&s.model);
}
