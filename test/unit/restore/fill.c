/*
 * What is written where: a task's own pages, those of another, and none where they are there already.
 */
#include "restore/fill.h"

#include <sys/mman.h>

#include "../model/tasks.h"

TestSuite(fill, .init = fixture_init, .fini = fixture_done);

/* Fill the last of the tasks into an empty file. @ret: its pages as characters, '.' where nothing was written. */
static int fill(const char *const *tasks, const struct mm_range *skip, size_t n_skip,
	char ret[TEXT_MAX + 1], uint64_t *ret_bytes)
{
	struct model m;
	struct image *img = tasks_load("img", tasks, &m);
	struct fill_req req = {.img = img,
		.model = &m,
		.rec = &m.recs[m.n - 1],
		.fd = memfd_create("fill", MFD_CLOEXEC),
		.what = "memory",
		.workers = 2,
		.skip = skip,
		.n_skip = n_skip};
	char page[PAGE], same[PAGE];
	size_t n = 0;
	int r;

	cr_assert_geq(req.fd, 0);
	r = fill_fd(&op, &req, ret_bytes);
	while (pread(req.fd, page, PAGE, (off_t)(FIRST + n * PAGE)) == PAGE) {
		memset(same, page[0], PAGE);
		cr_expect_eq(memcmp(page, same, PAGE), 0, "page %zu is torn", n);
		ret[n++] = page[0] ? page[0] : '.';
	}
	ret[n] = 0;
	close(req.fd);
	model_done(&m);
	image_close(img);
	remove_tree(AT_FDCWD, in(&s, "img"));
	return r;
}

static void expect(const char *a, const char *b, const struct mm_range *skip, size_t n_skip,
	const char *want, uint64_t pages)
{
	const char *const tasks[] = {a, b, NULL};
	char have[TEXT_MAX + 1];
	uint64_t bytes = 0;

	cr_assert_eq(fill(tasks, skip, n_skip, have, &bytes), 0, "%s", op.first.object);
	cr_expect_str_eq(have, want);
	cr_expect_eq(bytes, pages * PAGE, "%s, %s: %llu bytes", a, b, (unsigned long long)bytes);
}

Test(fill, own_pages)
{
	expect("x", "abc", NULL, 0, "abc", 3);
	expect("x", "a|b..c", NULL, 0, "ab..c", 3);
}

Test(fill, pages_of_another_task)
{
	expect("abc", "111", NULL, 0, "abc", 3);
	expect("abcd", ".11", NULL, 0, ".bc", 2); /* a part of a run */
	expect("a|b.cd", "11.1", NULL, 0, "ab.c", 3);
	expect("abcd", "1X1", NULL, 0, "aXc", 3); /* one run of the other, twice */
}

Test(fill, what_is_there_already)
{
	static const struct mm_range second[] = {{0x11000, 0x12000}}, all[] = {{0, 0x20000}},
				     two[] = {{0x8000, 0x11000}, {0x12000, 0x13000}},
				     ends[] = {{0xf000, 0x10000}, {0x13000, 0x14000}};

	expect("x", "abc", second, 1, "a.c", 2);
	expect("abc", "111", second, 1, "a.c", 2);
	expect("abcd", "1111", two, 2, ".b.d", 2);
	expect("a|bc|d", "1XY1", two, 2, ".X.d", 2);
	expect("abc", "1|11", all, 1, "", 0);
	expect("abc", "111", ends, 2, "abc", 3); /* they only touch */
}

Test(fill, an_alias_of_nothing)
{
	static const char *const tasks[] = {"a", "11", NULL};
	char have[TEXT_MAX + 1];

	cr_assert_lt(fill(tasks, NULL, 0, have, NULL), 0);
	failed_with(&op, CKPT_E_IMAGE, "an alias of has none there");
	cr_expect_str_eq(have, "", "nothing is written of a damaged image");
}
