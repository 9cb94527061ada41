/*
 * lend.c - families made by hand, and what a parent has to hold for each child so that they share what they
 * shared.
 *
 * Of each task one character per page from 0x10000 on: a letter is a page with such contents, '.' none. Who has
 * the same letter at the same place shares that page; it is in the image with the first of them.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mm.pb-c.h"
#include "proto/pages.pb-c.h"
#include "res/mm/mm.h"
#include "restore/lend.h"
#include "util/str.h"

#define FIRST_PAGE 0x10000ULL
#define PAGE_BYTES 4096ULL
#define TASKS_MAX  8

struct family {
	struct ckpt_op op;
	struct model model;
	struct tree tree;
	const char *text[TASKS_MAX];
	size_t n;
	struct lend *lends;
};

static void begin(struct family *f)
{
	*f = (struct family){0};
	op_init(&f->op, NULL);
	model_init(&f->model);
	f->tree.v = calloc(TASKS_MAX, sizeof(*f->tree.v));
}

static void add_mm(struct family *f, pid_t pid, size_t pages)
{
	Ckpt__Mm *mm = calloc(1, sizeof(*mm));
	Ckpt__Vma *v = calloc(1, sizeof(*v));

	ckpt__mm__init(mm);
	ckpt__vma__init(v);
	v->start = FIRST_PAGE;
	v->end = FIRST_PAGE + pages * PAGE_BYTES;
	v->prot = 3;
	mm->vmas = calloc(1, sizeof(Ckpt__Vma *));
	mm->vmas[mm->n_vmas++] = v;
	cr_assert_eq(model_add_take(&f->model, &res_mm.type, (uint64_t)pid, &mm->base), 0);
}

/* Whose the page is in the image: that of the first who has that letter there. */
static pid_t owner(const struct family *f, size_t i, size_t page)
{
	char c = f->text[i][page];

	for (size_t k = 0; k < i; k++)
		if (strlen(f->text[k]) > page && f->text[k][page] == c)
			return (pid_t)(100 + k);
	return (pid_t)(100 + i);
}

static void add_pages(struct family *f, size_t i)
{
	Ckpt__Pages *m = calloc(1, sizeof(*m));
	size_t n = strlen(f->text[i]);

	ckpt__pages__init(m);
	m->runs = calloc(n, sizeof(Ckpt__PageRun *));
	for (size_t p = 0; p < n; p++) {
		Ckpt__PageRun *run;

		if (f->text[i][p] == '.')
			continue;
		run = m->runs[m->n_runs++] = calloc(1, sizeof(*run));
		ckpt__page_run__init(run);
		run->start = FIRST_PAGE + p * PAGE_BYTES;
		run->pages = 1;
		if (owner(f, i, p) != (pid_t)(100 + i)) {
			run->kind = CKPT__PAGE_RUN__KIND__ALIAS;
			run->of = owner(f, i, p);
		}
	}
	cr_assert_eq(model_add_take(&f->model, &res_pages.type, 100 + i, &m->base), 0);
}

/* @parent: of those that were added before; itself: the root */
static void add(struct family *f, size_t parent, const char *text)
{
	size_t i = f->n++;

	f->text[i] = text;
	f->tree.v[i] = (struct birth){.kind = BIRTH_TASK,
		.pid = (pid_t)(100 + i),
		.parent = i ? parent : BIRTH_NONE,
		.maker = i ? parent : BIRTH_NONE,
		.when = i ? BIRTH_FILLED : BIRTH_BARE};
	add_mm(f, (pid_t)(100 + i), strlen(text));
	add_pages(f, i);
}

static void solve(struct family *f)
{
	struct tree *t = &f->tree;

	t->n = f->n;
	for (size_t i = 0; i < t->n; i++)
		t->v[i].made = t->v[i].made_next = BIRTH_NONE;
	for (size_t i = t->n; i-- > 1;) {
		t->v[i].made_next = t->v[t->v[i].maker].made;
		t->v[t->v[i].maker].made = i;
	}
	cr_assert_eq(lend_new(&f->op, &f->model, t, &f->lends), 0);
}

static void end(struct family *f)
{
	lend_done(f->lends, f->tree.n);
	free(f->tree.v);
	model_done(&f->model);
	op_done(&f->op, NULL);
}

/*
 * A kernel in small: a page is a number, a fork copies the numbers, who writes a page gets a new one.
 * What is there at the end has to be what the image has; pages that are counted are numbers in use.
 */
struct machine {
	struct family *f;
	int page[TASKS_MAX][32];
	char contents[4096];
	int n;
};

static void put(struct machine *m, size_t i, uint64_t at, char c)
{
	m->contents[++m->n] = c;
	m->page[i][(at - FIRST_PAGE) / PAGE_BYTES] = m->n;
}

static void drop(struct machine *m, size_t i, const struct page_map *map)
{
	for (size_t k = 0; k < map->n; k++)
		for (uint64_t at = map->v[k].start; at < map->v[k].end; at += PAGE_BYTES)
			m->page[i][(at - FIRST_PAGE) / PAGE_BYTES] = 0;
}

static void live(struct machine *m, size_t i)
{
	const struct family *f = m->f;
	const struct lend *t = &f->lends[i];

	for (size_t r = 0; r < t->n; r++) {
		const struct page_map *fill = t->whole ? NULL : &t->v[r].fill;

		if (!t->whole)
			drop(m, i, &t->v[r].drop);
		for (size_t p = 0; t->whole && p < strlen(f->text[i]); p++)
			if (f->text[i][p] != '.')
				put(m, i, FIRST_PAGE + p * PAGE_BYTES, f->text[i][p]);
		for (size_t k = 0; fill && k < fill->n; k++)
			for (uint64_t at = fill->v[k].start; at < fill->v[k].end; at += PAGE_BYTES)
				put(m, i, at,
					f->text[fill->v[k].of - 100]
					       [(at - FIRST_PAGE) / PAGE_BYTES]);
		for (size_t k = f->tree.v[i].made; k != BIRTH_NONE; k = f->tree.v[k].made_next)
			if (f->lends[k].made == r) {
				memcpy(m->page[k], m->page[i], sizeof(m->page[k]));
				live(m, k);
			}
	}
	drop(m, i, &t->drop);
}

/* @pages: how many are in use when all have what they had */
static void expect(struct family *f, int pages)
{
	static struct machine m;
	bool used[4096] = {false};
	int n = 0;

	solve(f);
	m = (struct machine){.f = f};
	live(&m, 0);
	for (size_t i = 0; i < f->n; i++)
		for (size_t p = 0; p < strlen(f->text[i]); p++) {
			int at = m.page[i][p];

			cr_expect_eq(at ? m.contents[at] : '.', f->text[i][p],
				"task %zu, page %zu: %c instead of %c", i, p,
				at ? m.contents[at] : '.', f->text[i][p]);
			n += at && !used[at];
			used[at] = true;
		}
	cr_expect_eq(n, pages, "%d pages are in use, expected %d", n, pages);
	end(f);
}

#define MANY(c) c c c c c c c c c c c c c c c c /* so many that they are worth it */

Test(lend, nothing_has_changed)
{
	struct family f;

	begin(&f);
	add(&f, 0, "abcd");
	add(&f, 0, "abcd");
	add(&f, 1, "ab.x");
	solve(&f);
	cr_expect_eq(f.lends[0].n, 1);
	cr_expect_eq(f.lends[1].n, 1);
	cr_expect_eq(f.lends[2].n, 1);
	end(&f);
	begin(&f);
	add(&f, 0, "abcd");
	add(&f, 0, "abcd");
	add(&f, 1, "ab.x");
	expect(&f, 5);
}

Test(lend, the_parent_has_changed_all)
{
	struct family f;

	begin(&f);
	add(&f, 0, MANY("xy"));
	add(&f, 0, MANY("ab"));
	add(&f, 0, MANY("ab"));
	add(&f, 0, MANY("ab"));
	expect(&f, 16 * 4);
}

Test(lend, the_parent_has_dropped_and_a_child_has_written)
{
	struct family f;

	begin(&f);
	add(&f, 0, MANY(".."));
	add(&f, 0, MANY("ab"));
	add(&f, 0, MANY("qb")); /* of its own */
	add(&f, 0, MANY("ab"));
	expect(&f, 16 * 3);
}

Test(lend, versions)
{
	struct family f;

	begin(&f);
	add(&f, 0, MANY("zc"));
	add(&f, 0, MANY("aa"));
	add(&f, 0, MANY("aa"));
	add(&f, 0, MANY("ba"));
	add(&f, 0, MANY("bq"));
	add(&f, 0, MANY("bc"));
	expect(&f, 16 * 6); /* z c a a b q */
}

Test(lend, below_a_child_that_has_changed)
{
	struct family f;

	begin(&f);
	add(&f, 0, MANY("ab"));
	add(&f, 0, MANY("xb"));
	add(&f, 1, MANY("ab"));
	add(&f, 1, MANY("ab"));
	expect(&f, 16 * 3);
}

/* What only a child and its own children have is not lent to it. */
Test(lend, what_is_shared_below_only)
{
	struct family f;

	begin(&f);
	add(&f, 0, MANY("ab"));
	add(&f, 0, MANY("xb"));
	add(&f, 1, MANY("xb"));
	add(&f, 1, MANY("xb"));
	add(&f, 0, MANY("ab"));
	expect(&f, 16 * 3);
}

/* A single page is not worth a meeting, but it is right. */
Test(lend, little)
{
	struct family f;

	begin(&f);
	add(&f, 0, "xbcd");
	add(&f, 0, "abcd");
	add(&f, 0, "ebcd");
	add(&f, 0, "ebcd");
	add(&f, 0, "ybcd");
	solve(&f);
	for (size_t i = 0; i < f.n; i++)
		cr_expect_eq(f.lends[i].n, i == 0 ? 2 : 1, "task %zu is filled %zu times", i,
			f.lends[i].n);
	end(&f);
}

/* Written into a copy of the parent's, many pages cost more than a call that drops them before. */
Test(lend, many_pages_in_the_place_of_others)
{
	struct family f;
	const struct page_map *drop;

	begin(&f);
	add(&f, 0, "abcdefghij..");
	add(&f, 0, "xbcdvwyzijst"); /* one of its own, four, and two where the parent has none */
	solve(&f);
	drop = &f.lends[1].v[0].drop;
	cr_assert_eq(drop->n, 1);
	cr_expect_eq(drop->v[0].start, FIRST_PAGE + 4 * PAGE_BYTES);
	cr_expect_eq(drop->v[0].end, FIRST_PAGE + 8 * PAGE_BYTES);
	end(&f);
}

/* Two pages that all have, and 512 that each has of its own. */
static void solve_own(struct family *f, size_t children)
{
	static char text[TASKS_MAX][515];

	begin(f);
	for (size_t i = 0; i <= children; i++) {
		memset(text[i], (int)('p' + i), 514);
		memcpy(text[i], "ab", 2);
		add(f, 0, text[i]);
	}
	solve(f);
}

/* It is not handed on to all of them, to be dropped by each. */
Test(lend, what_no_child_has_comes_last)
{
	struct family f;

	solve_own(&f, 4);
	cr_assert_eq(f.lends[0].n, 2);
	cr_expect_eq(page_map_bytes(&f.lends[0].v[0].fill), 2 * PAGE_BYTES);
	cr_expect_eq(page_map_bytes(&f.lends[0].v[1].fill), 512 * PAGE_BYTES);
	cr_expect_eq(f.lends[0].v[1].drop.n, 0);
	for (size_t i = 1; i < f.n; i++) {
		cr_expect_eq(f.lends[i].made, 0);
		cr_expect_eq(f.lends[i].v[0].drop.n, 0, "there is nothing in its place");
		cr_expect_eq(page_map_bytes(&f.lends[i].v[0].fill), 512 * PAGE_BYTES);
	}
	end(&f);
	solve_own(&f, 3); /* too little for a meeting */
	cr_expect_eq(f.lends[0].n, 1);
	cr_expect_eq(page_map_bytes(&f.lends[1].v[0].drop), 512 * PAGE_BYTES);
	end(&f);
}

Test(lend, a_damaged_image)
{
	struct family f;
	Ckpt__Pages *pages;

	begin(&f);
	add(&f, 0, "ab");
	add(&f, 0, "ab");
	pages = model_get(&f.model, &res_pages.type, 101);
	pages->runs[1]->start = 0;
	f.tree.n = f.n;
	f.tree.v[0].made = 1;
	f.tree.v[0].made_next = f.tree.v[1].made = f.tree.v[1].made_next = BIRTH_NONE;
	cr_assert_lt(lend_new(&f.op, &f.model, &f.tree, &f.lends), 0);
	cr_expect_null(f.lends);
	end(&f);
}
