/*
 * Pages that are those of another task: their check, and the comparison of images that have them.
 */
#include "model/diff.h"
#include "model/pages.h"
#include "model/verify.h"
#include "util/str.h"

#include "tasks.h"

#define TEXTS(...) ((const char *const[TASKS_MAX + 1]){__VA_ARGS__})

TestSuite(aliases, .init = fixture_init, .fini = fixture_done);

static int verify(const char *const *tasks, struct verify_result *res)
{
	struct image *img = NULL;
	int r;

	tasks_save("img", tasks);
	cr_assert_eq(image_open(&op, in(&s, "img"), &img), 0, "%s", op.first.object);
	r = image_verify(&op, img, types, res);
	image_close(img);
	remove_tree(AT_FDCWD, in(&s, "img"));
	return r;
}

static void is_fine(const char *const *tasks, uint64_t runs, uint64_t pages)
{
	struct verify_result res = {};

	cr_assert_eq(verify(tasks, &res), 0, "%s", op.first.object);
	cr_expect_eq(res.runs, runs);
	cr_expect_eq(
		res.page_bytes, pages * PAGE, "contents are read once, not once for each task");
}

Test(aliases, that_lead_to_pages)
{
	is_fine(TEXTS("ab", "11"), 2, 2);
	is_fine(TEXTS("a|b.c", "11.1"), 5, 3); /* one alias of two runs, and another */
	is_fine(TEXTS("abc", ".1"), 2, 3);
	is_fine(TEXTS("abc", "1X1", "121"), 7, 4);
}

/* The message names the task and the address of the alias. */
static void is_damaged(const char *const *tasks, const char *where)
{
	cr_assert_lt(verify(tasks, NULL), 0, "accepted; expected: %s", where);
	failed_with(&op, CKPT_E_IMAGE, "the task that it is an alias of has no such pages");
	cr_expect_not_null(
		strstr(op.first.object, where), "no \"%s\" in: %s", where, op.first.object);
	op_done(&op, NULL);
	op_init(&op, NULL);
}

Test(aliases, of_nobody)
{
	is_damaged(TEXTS("ab", "99"), "'memory' of 2: run 0 of 2 pages at 0x10000");
	is_damaged(TEXTS("ab", "00"), "'memory' of 2: run 0 of 2 pages at 0x10000");
	is_damaged(TEXTS("ab", "--"), "'memory' of 2: run 0 of 2 pages at 0x10000");
}

Test(aliases, of_a_record_that_does_not_stand_before)
{
	is_damaged(TEXTS("22", "ab"), "'memory' of 1: run 0 of 2 pages at 0x10000");
	is_damaged(TEXTS("a1"), "'memory' of 1: run 1 of 1 pages at 0x11000");
}

Test(aliases, of_an_alias)
{
	is_damaged(TEXTS("ab", "11", "22"), "'memory' of 3: run 0 of 2 pages at 0x10000");
	is_damaged(TEXTS("ab", "X1", "22"), "'memory' of 3: run 0 of 2 pages at 0x10000");
}

Test(aliases, that_are_not_covered)
{
	is_damaged(TEXTS("a", "11"), "'memory' of 2: run 0 of 2 pages at 0x10000");
	is_damaged(TEXTS(".b", "11"), "'memory' of 2: run 0 of 2 pages at 0x10000");
	is_damaged(TEXTS("a.c", "111"), "'memory' of 2: run 0 of 3 pages at 0x10000");
	is_damaged(TEXTS("a.c", "1|1"), "'memory' of 2: run 1 of 1 pages at 0x11000");
	is_damaged(TEXTS("", "1"), "'memory' of 2: run 0 of 1 pages at 0x10000");
}

/* ---- diff ---- */

static void collect(void *arg, const struct diff_item *item)
{
	char *text = diff_text(item);

	strbuf_addf(arg, "%s\n", text);
	free(text);
}

static void expect(const char *const *a, const char *const *b, const char *want)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct model ma, mb;
	struct image *img_a = tasks_load("a", a, &ma), *img_b = tasks_load("b", b, &mb);
	struct diff_pages_req req = {
		.img_a = img_a, .img_b = img_b, .a = &ma, .b = &mb, .fn = collect, .arg = &sb};
	size_t n = 99;

	cr_assert_eq(diff_pages(&op, &req, &n), 0, "%s", op.first.object);
	cr_expect_str_eq(sb.s ? sb.s : "", want);
	model_done(&ma);
	model_done(&mb);
	image_close(img_a);
	image_close(img_b);
	remove_tree(AT_FDCWD, in(&s, "a"));
	remove_tree(AT_FDCWD, in(&s, "b"));
}

Test(aliases, same_contents_however_they_are_had)
{
	expect(TEXTS("abc", "111"), TEXTS("abc", "abc"), "");
	expect(TEXTS("abc", "abc"), TEXTS("abc", "111"), "");
	expect(TEXTS("abcd", ".11"), TEXTS("ab|cd", ".b|c"), "");
	expect(TEXTS("abc", "111"), TEXTS("abc", "1b1"), "");
	expect(TEXTS("ab", "ab", "11"), TEXTS("ab", "ab", "22"), "");
}

Test(aliases, contents_that_differ)
{
	expect(TEXTS("abc", "111"), TEXTS("abc", "aXc"),
		"memory 2 0x11000-0x12000: contents -> contents\n");
	expect(TEXTS("abc", "1X1"), TEXTS("abc", "111"),
		"memory 2 0x11000-0x12000: contents -> contents\n");
	expect(TEXTS("ab", "11"), TEXTS("aX", "11"),
		"memory 1 0x11000-0x12000: contents -> contents\n"
		"memory 2 0x11000-0x12000: contents -> contents\n");
	expect(TEXTS("ab", "11"), TEXTS("ab", "1"),
		"memory 2 0x11000-0x12000: contents -> absent\n");
	expect(TEXTS("abc", ".1"), TEXTS("abc", "..1"),
		"memory 2 0x11000-0x12000: contents -> absent\n"
		"memory 2 0x12000-0x13000: absent -> contents\n");
}
