/*
 * What is written where: a task's own pages, those of another, and none where they are there already.
 */
#include "restore/fill.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

#include "../model/tasks.h"

TestSuite(fill, .init = fixture_init, .fini = fixture_done);

/*
 * Fill the last of the tasks into an empty file. @only: NULL: with what it has. @ret: its pages as
 * characters, '.' where nothing was written.
 */
static int fill(const char *const *tasks, const struct page_map *only, char ret[TEXT_MAX + 1],
	uint64_t *ret_bytes)
{
	struct model m;
	struct image *img = tasks_load("img", tasks, &m);
	struct sink to = {.fd = memfd_create("fill", MFD_CLOEXEC)};
	struct fill_req req = {.img = img,
		.model = &m,
		.rec = &m.recs[m.n - 1],
		.to = &to,
		.what = "memory",
		.workers = 2,
		.only = only,
		.type = m.recs[0].type};
	char page[PAGE], same[PAGE];
	size_t n = 0;
	int r;

	cr_assert_geq(to.fd, 0);
	r = fill_sink(&op, &req, ret_bytes);
	while (pread(to.fd, page, PAGE, (off_t)(FIRST + n * PAGE)) == PAGE) {
		memset(same, page[0], PAGE);
		cr_expect_eq(memcmp(page, same, PAGE), 0, "page %zu is torn", n);
		ret[n++] = page[0] ? page[0] : '.';
	}
	ret[n] = 0;
	close(to.fd);
	model_done(&m);
	image_close(img);
	remove_tree(AT_FDCWD, in(&s, "img"));
	return r;
}

static void expect_only(
	const char *a, const char *b, const struct page_map *only, const char *want, uint64_t pages)
{
	const char *const tasks[] = {a, b, NULL};
	char have[TEXT_MAX + 1];
	uint64_t bytes = 0;

	cr_assert_eq(fill(tasks, only, have, &bytes), 0, "%s", op.first.object);
	cr_expect_str_eq(have, want);
	cr_expect_eq(bytes, pages * PAGE, "%s, %s: %llu bytes", a, b, (unsigned long long)bytes);
}

static void expect(const char *a, const char *b, const char *want, uint64_t pages)
{
	expect_only(a, b, NULL, want, pages);
}

Test(fill, own_pages)
{
	expect("x", "abc", "abc", 3);
	expect("x", "a|b..c", "ab..c", 3);
}

Test(fill, pages_of_another_task)
{
	expect("abc", "111", "abc", 3);
	expect("abcd", ".11", ".bc", 2); /* a part of a run */
	expect("a|b.cd", "11.1", "ab.c", 3);
	expect("abcd", "1X1", "aXc", 3); /* one run of the other, twice */
}

Test(fill, only_some_pages)
{
	struct page_span second[] = {{0x11000, 0x12000, 2}},
			 both[] = {{0x10000, 0x12000, 2}, {0x12000, 0x13000, 1}},
			 unsorted[] = {{0x12000, 0x14000, 1}, {0x10000, 0x11000, 2}};
	struct page_map none = {0};

	expect_only("x", "abc", &(struct page_map){second, 1, 1}, ".b", 1);
	expect_only("abc", "111", &(struct page_map){second, 1, 1}, ".b", 1);
	expect_only("pqrs", "abcd", &(struct page_map){both, 2, 2}, "abr", 3);
	expect_only("pqr|s", "abcd", &(struct page_map){unsorted, 2, 2}, "a.rs", 3);
	expect_only("abc", "111", &none, "", 0);
}

Test(fill, pages_that_a_task_has_not)
{
	static const char *const tasks[] = {"ab.d", "xy", NULL};
	struct page_span spans[] = {{0x10000, 0x14000, 1}};
	struct page_span nobody[] = {{0x10000, 0x11000, 3}};
	char have[TEXT_MAX + 1];

	cr_assert_lt(fill(tasks, &(struct page_map){spans, 1, 1}, have, NULL), 0);
	failed_with(&op, CKPT_E_IMAGE, "task 1 has none there");
	cr_expect_str_eq(have, "", "nothing is written of a damaged image");
	op_done(&op, NULL);
	op_init(&op, NULL);
	cr_assert_lt(fill(tasks, &(struct page_map){nobody, 1, 1}, have, NULL), 0);
	failed_with(&op, CKPT_E_IMAGE, "task 3 has none there");
}

Test(fill, an_alias_of_nothing)
{
	static const char *const tasks[] = {"a", "11", NULL};
	char have[TEXT_MAX + 1];

	cr_assert_lt(fill(tasks, NULL, have, NULL), 0);
	failed_with(&op, CKPT_E_IMAGE, "an alias of has none there");
	cr_expect_str_eq(have, "", "nothing is written of a damaged image");
}

/* Its own memory, some of which can't be written without more ado. */
Test(fill, a_task)
{
	static const char *const tasks[] = {"abcdefgh", NULL};
	struct model m;
	struct image *img = tasks_load("img", tasks, &m);
	char *at = mmap((void *)FIRST, 8 * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	struct sink to = {.fd = -EBADF, .pid = getpid()};
	struct fill_req req = {.img = img,
		.model = &m,
		.rec = &m.recs[0],
		.to = &to,
		.what = "memory",
		.workers = 1};

	cr_assert_eq(at, (char *)FIRST);
	cr_assert_eq(mprotect(at + 2 * PAGE, PAGE, PROT_READ), 0);
	cr_assert_eq(mprotect(at + 4 * PAGE, PAGE, PROT_NONE), 0);
	cr_assert_eq(fill_sink(&op, &req, NULL), 0, "%s", op.first.object);
	cr_assert_eq(mprotect(at, 8 * PAGE, PROT_READ), 0);
	for (size_t i = 0; i < 8; i++)
		for (size_t k = 0; k < PAGE; k++)
			cr_assert_eq(at[i * PAGE + k], "abcdefgh"[i], "page %zu", i);
	cr_assert_eq(munmap(at + 7 * PAGE, PAGE), 0);
	cr_expect_lt(fill_sink(&op, &req, NULL), 0, "one page is not mapped");
	failed_with(&op, CKPT_E_SYSTEM, "memory: restoring its contents");
	sink_done(&to);
	cr_expect_lt(to.fd, 0, "closed");
	munmap(at, 7 * PAGE);
	model_done(&m);
	image_close(img);
}

/* Its own memory: one page is there already, and one is not registered, although it should be. */
Test(fill, through_a_userfaultfd)
{
	static const char *const tasks[] = {"abcdefgh", NULL};
	struct page_map through = {0};
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {
		.range = {FIRST + PAGE, 3 * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct model m;
	struct image *img = tasks_load("img", tasks, &m);
	char *at = mmap((void *)FIRST, 8 * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	struct sink to = {.fd = -EBADF,
		.pid = getpid(),
		.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1),
		.through = &through};
	struct fill_req req = {.img = img,
		.model = &m,
		.rec = &m.recs[0],
		.to = &to,
		.what = "memory",
		.workers = 1};

	if (to.uffd < 0)
		cr_skip_test("no userfaultfd");
	cr_assert_eq(at, (char *)FIRST);
	cr_assert_eq(ioctl(to.uffd, UFFDIO_API, &api), 0);
	at[2 * PAGE] = 'X';
	cr_assert_eq(page_map_add(&through, FIRST + PAGE, FIRST + 4 * PAGE, 1), 0);
	cr_assert_eq(page_map_add(&through, FIRST + 5 * PAGE, FIRST + 6 * PAGE, 1), 0);
	cr_assert_eq(ioctl(to.uffd, UFFDIO_REGISTER, &reg), 0);
	cr_assert_eq(fill_sink(&op, &req, NULL), 0, "%s", op.first.object);
	for (size_t i = 0; i < 8; i++)
		for (size_t k = 0; k < PAGE; k++)
			cr_assert_eq(at[i * PAGE + k], "abcdefgh"[i], "page %zu", i);
	page_map_done(&through);
	close(to.uffd);
	sink_done(&to);
	munmap(at, 8 * PAGE);
	model_done(&m);
	image_close(img);
}
