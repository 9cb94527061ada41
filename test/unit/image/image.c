/*
 * Writing and reading whole images: round trip, places, conflicts, replacement, failures.
 */
#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "image/manifest.h"

#include "fixture.h"

static void init(void)
{
	fixture_init();
	umask(022);
}

TestSuite(image, .init = init, .fini = fixture_done);

/* What small_image() wrote must be what is read. */
static void small_image_expect(const char *dir, uint64_t crid)
{
	struct image *img = NULL;
	struct image_rec rec;
	size_t pos = 0;
	char page[8192], want[8192];

	cr_assert_eq(image_open(&op, dir, &img), 0, "%s", op.first.object);
	cr_assert_eq(image_manifest(img)->crid, crid);
	cr_assert_eq(image_manifest(img)->version, 1);
	cr_assert_eq(image_manifest(img)->root_pid, 77);
	cr_assert_eq(image_manifest(img)->n_files, 2);
	cr_assert_eq(image_next(img, &pos, &rec), 1);
	cr_assert_str_eq(rec.tag, "one");
	cr_assert_eq(rec.owner, 12);
	cr_assert_eq(rec.len, 7);
	cr_assert_eq(memcmp(rec.payload, "payload", 7), 0);
	cr_assert_eq(image_next(img, &pos, &rec), 1);
	cr_assert_str_eq(rec.tag, "empty-1");
	cr_assert_eq(rec.owner, UINT64_MAX);
	cr_assert_eq(rec.len, 0);
	cr_assert_eq(image_next(img, &pos, &rec), 0);
	cr_assert_eq(image_page_fd(img, 0), -EBADF);
	cr_assert_eq(image_page_size(img, 0), 0);
	cr_assert_eq(image_page_fd(img, 64), -EBADF);
	cr_assert_eq(image_page_size(img, 1), 8192);
	memset(want, 'A', sizeof(want));
	cr_assert_eq(pread_full(image_page_fd(img, 1), page, 8192, 0), 0);
	cr_assert_eq(memcmp(page, want, 8192), 0);
	image_close(img);
}

Test(image, round_trip_into_a_new_directory)
{
	const char *dir = in(&s, "img");
	struct stat st;

	small_image(dir, TEST_CRID, false);
	small_image_expect(dir, TEST_CRID);
	cr_assert_eq(entries(dir), 3); /* manifest, records, pages-1 */
	cr_assert_eq(entries(s.dir), 1);
	/* Memory of a process is secret. */
	cr_assert_eq(stat(dir, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_eq(stat(in(&s, "img/pages-1"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(image, parents_are_made)
{
	small_image(in(&s, "a//b/./c/"), TEST_CRID, false);
	small_image_expect(in(&s, "a/b/c"), TEST_CRID);
	cr_assert_eq(entries(in(&s, "a/b")), 1);
}

Test(image, relative_directory)
{
	cr_assert_eq(chdir(s.dir), 0);
	small_image("img", TEST_CRID, false);
	small_image_expect(in(&s, "img"), TEST_CRID);
	cr_assert_eq(chdir("img"), 0);
	op_done(&op, NULL);
	op_init(&op, NULL);
	small_image_expect(".", TEST_CRID);
}

Test(image, longest_name)
{
	char name[256];

	memset(name, 'n', 255);
	name[255] = 0;
	cr_assert_eq(chdir(s.dir), 0);
	small_image(name, TEST_CRID, false);
	small_image_expect(name, TEST_CRID);
}

Test(image, into_a_directory_that_holds_other_files)
{
	cr_assert_eq(mkdir(in(&s, "img"), 0755), 0);
	file_put(in(&s, "img/other"), "x", 1);
	small_image(in(&s, "img"), TEST_CRID, false);
	small_image_expect(in(&s, "img"), TEST_CRID);
	cr_assert_eq(entries(in(&s, "img")), 4);
	cr_assert_eq(access(in(&s, "img/records-1700000000000000001"), F_OK), 0);
	cr_assert_eq(access(in(&s, "img/other"), F_OK), 0);
}

Test(image, bytes_are_those_of_all_files)
{
	struct image_writer *w = writer_open(&op, in(&s, "img"), false);
	const char *names[] = {"img/manifest", "img/records", "img/pages-1"};
	struct utsname host;
	uint64_t bytes = 0, sum = 0;
	Ckpt__Manifest m;
	struct stat st;

	small_image_fill(&op, w);
	manifest_fill(&m, TEST_CRID, &host);
	cr_assert_eq(image_commit(&op, w, &m, true, &bytes), 0);
	cr_assert_eq(m.n_files, 0, "the caller's manifest is unchanged");
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(stat(in(&s, names[i]), &st), 0);
		sum += (uint64_t)st.st_size;
	}
	cr_assert_eq(bytes, sum);
}

Test(image, more_records_than_the_buffer_holds)
{
	struct image_writer *w = writer_open(&op, in(&s, "img"), false);
	static uint8_t big[9 << 20];
	struct image *img = NULL;
	struct image_rec rec;
	size_t pos = 0;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
	for (uint64_t i = 0; i < 3000; i++)
		cr_assert_eq(image_add(&op, w, "rec", i, big + i, 3000 + i), 0);
	cr_assert_eq(image_add(&op, w, "big", 1, big, sizeof(big)), 0);
	cr_assert_eq(image_add(&op, w, "last", 1, "z", 1), 0);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), 0);
	cr_assert_eq(image_open(&op, in(&s, "img"), &img), 0, "%s", op.first.object);
	for (uint64_t i = 0; i < 3000; i++) {
		cr_assert_eq(image_next(img, &pos, &rec), 1);
		cr_assert_eq(rec.owner, i);
		cr_assert_eq(rec.len, 3000 + i);
		cr_assert_eq(memcmp(rec.payload, big + i, rec.len), 0);
	}
	cr_assert_eq(image_next(img, &pos, &rec), 1);
	cr_assert_eq(rec.len, sizeof(big));
	cr_assert_eq(memcmp(rec.payload, big, rec.len), 0);
	cr_assert_eq(image_next(img, &pos, &rec), 1);
	cr_assert_str_eq(rec.tag, "last");
	cr_assert_eq(image_next(img, &pos, &rec), 0);
	image_close(img);
}

Test(image, an_image_is_replaced_only_with_force)
{
	struct image_writer_req req = {.dir = in(&s, "img"), .shards = 1};
	struct image_writer *w = NULL;

	small_image(req.dir, TEST_CRID, false);
	cr_assert_eq(image_writer_open(&op, &req, &w), -EEXIST);
	cr_assert_null(w);
	failed_with(&op, CKPT_E_CONFLICT, "--force");
	op_done(&op, NULL);
	op_init(&op, NULL);
	small_image_expect(req.dir, TEST_CRID);
	cr_assert_eq(entries(req.dir), 3);
}

Test(image, force_replaces_and_removes_the_old_files)
{
	const char *dir = in(&s, "img");

	small_image(dir, TEST_CRID, false);
	file_put(in(&s, "img/pages-9"), "not listed: not ours to remove", 30);
	dir = in(&s, "img");
	for (uint64_t i = 1; i < 4; i++) {
		small_image(dir, TEST_CRID + i, true);
		small_image_expect(dir, TEST_CRID + i);
		cr_assert_eq(entries(dir), 4, "%d", entries(dir));
	}
}

Test(image, force_replaces_a_damaged_image)
{
	small_image(in(&s, "img"), TEST_CRID, false);
	file_put(in(&s, "img/manifest"), "rubbish", 7);
	small_image(in(&s, "img"), TEST_CRID + 1, true);
	small_image_expect(in(&s, "img"), TEST_CRID + 1);
	/* What the damaged manifest listed is not known, so it stays. */
	cr_assert_eq(entries(in(&s, "img")), 5);
}

/* A listed name that leads outside must not be removed. */
Test(image, force_removes_nothing_outside)
{
	Ckpt__ImageFile f = CKPT__IMAGE_FILE__INIT, *files[] = {&f};
	struct utsname host;
	uint8_t *buf = NULL;
	Ckpt__Manifest m;
	size_t len = 0;

	cr_assert_eq(mkdir(in(&s, "img"), 0700), 0);
	file_put(in(&s, "precious"), "x", 1);
	manifest_fill(&m, TEST_CRID, &host);
	f.name = "../precious";
	m.files = files;
	m.n_files = 1;
	cr_assert_eq(manifest_pack(&m, &buf, &len), 0);
	file_put(in(&s, "img/manifest"), buf, len);
	free(buf);
	small_image(in(&s, "img"), TEST_CRID + 1, true);
	cr_assert_eq(access(in(&s, "precious"), F_OK), 0);
}

Test(image, the_old_image_is_whole_until_the_commit)
{
	struct image_writer *w;

	small_image(in(&s, "img"), TEST_CRID, false);
	w = writer_open(&op, in(&s, "img"), true);
	small_image_fill(&op, w);
	small_image_expect(in(&s, "img"), TEST_CRID);
	/* The last instant before: all files stand, the rename fails. */
	setenv("CKPT_FAULT", "dump.rename", 1);
	cr_assert_lt(commit_as(&op, w, TEST_CRID + 1), 0);
	failed_with(&op, CKPT_E_SYSTEM, "dump.rename");
	op_done(&op, NULL);
	op_init(&op, NULL);
	small_image_expect(in(&s, "img"), TEST_CRID);
	cr_assert_eq(entries(in(&s, "img")), 3);
}

Test(image, abort_leaves_nothing)
{
	struct image_writer *w = writer_open(&op, in(&s, "a/b/img"), false);

	small_image_fill(&op, w);
	cr_assert_eq(entries(s.dir), 1, "the parents are made");
	image_writer_abort(w);
	cr_assert_eq(entries(s.dir), 0);

	cr_assert_eq(mkdir(in(&s, "img"), 0755), 0);
	w = writer_open(&op, in(&s, "img"), false);
	small_image_fill(&op, w);
	image_writer_abort(w);
	cr_assert_eq(entries(in(&s, "img")), 0);
	image_writer_abort(NULL);
}

Test(image, a_failed_commit_leaves_nothing)
{
	struct image_writer *w = writer_open(&op, in(&s, "a/img"), false);

	small_image_fill(&op, w);
	setenv("CKPT_FAULT", "dump.rename", 1);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), -EIO);
	cr_assert_eq(entries(s.dir), 0);
}

Test(image, nothing_is_visible_before_the_commit)
{
	struct image_writer *w = writer_open(&op, in(&s, "img"), false);

	small_image_fill(&op, w);
	cr_assert_eq(access(in(&s, "img"), F_OK), -1);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), 0);
	cr_assert_eq(access(in(&s, "img"), F_OK), 0);
}

Test(image, two_writers_of_a_new_directory_the_first_wins)
{
	struct image_writer *a = writer_open(&op, in(&s, "img"), false);
	struct image_writer *b = writer_open(&op, in(&s, "img"), true);

	small_image_fill(&op, a);
	small_image_fill(&op, b);
	cr_assert_eq(commit_as(&op, a, TEST_CRID), 0);
	cr_assert_eq(commit_as(&op, b, TEST_CRID + 1), -EEXIST);
	failed_with(&op, CKPT_E_CONFLICT, "meanwhile");
	op_done(&op, NULL);
	op_init(&op, NULL);
	small_image_expect(in(&s, "img"), TEST_CRID);
	cr_assert_eq(entries(s.dir), 1);
}

Test(image, a_second_writer_in_a_directory_is_kept_out)
{
	struct image_writer_req req = {.force = true, .shards = 1};
	struct image_writer *a, *b = NULL;

	cr_assert_eq(mkdir(in(&s, "img"), 0755), 0);
	a = writer_open(&op, in(&s, "img"), false);
	small_image_fill(&op, a);
	req.dir = in(&s, "img");
	cr_assert_eq(image_writer_open(&op, &req, &b), -EWOULDBLOCK);
	failed_with(&op, CKPT_E_CONFLICT, "another ckpt");
	cr_assert_eq(commit_as(&op, a, TEST_CRID), 0);
	op_done(&op, NULL);
	op_init(&op, NULL);
	small_image_expect(in(&s, "img"), TEST_CRID);
	/* The lock went with the first writer. */
	small_image(in(&s, "img"), TEST_CRID + 1, true);
}

Test(image, a_manifest_that_appears_meanwhile_is_not_replaced)
{
	struct image_writer *w;

	cr_assert_eq(mkdir(in(&s, "img"), 0755), 0);
	w = writer_open(&op, in(&s, "img"), false);
	small_image_fill(&op, w);
	file_put(in(&s, "img/manifest"), "x", 1);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), -EEXIST);
	failed_with(&op, CKPT_E_CONFLICT, "meanwhile");
	cr_assert_eq(entries(in(&s, "img")), 1);
}

static void open_fails(const char *dir, enum ckpt_kind kind, const char *part)
{
	struct image_writer_req req = {.dir = dir, .shards = 1};
	struct image_writer *w = NULL;
	int before = entries(s.dir);

	cr_assert_lt(image_writer_open(&op, &req, &w), 0, "%s", dir);
	cr_assert_null(w);
	failed_with(&op, kind, part);
	cr_assert_eq(entries(s.dir), before, "%s left something", dir);
	op_done(&op, NULL);
	op_init(&op, NULL);
}

Test(image, goals_that_cannot_be)
{
	char name[300];

	file_put(in(&s, "file"), "x", 1);
	open_fails(in(&s, "file"), CKPT_E_USAGE, "Not a directory");
	open_fails(in(&s, "file/img"), CKPT_E_USAGE, "Not a directory");
	open_fails(in(&s, "new/.."), CKPT_E_SYSTEM, "No such file");
	open_fails("", CKPT_E_SYSTEM, "No such file");
	open_fails("/proc/ckpt-image", CKPT_E_SYSTEM, "/proc/ckpt-image");
	memset(name, 'n', 299);
	name[299] = 0;
	open_fails(name, CKPT_E_USAGE, "too long");
}

Test(image, without_permission)
{
	if (geteuid() == 0 && (setegid(65534) < 0 || seteuid(65534) < 0))
		cr_skip("can't become another user");
	open_fails("/proc/1/ckpt-image", CKPT_E_SYSTEM, "mkdir");
	open_fails("/etc/ckpt-unit/image", CKPT_E_PRIVILEGE, "Permission denied");
	cr_assert_eq(seteuid(0) | setegid(0), 0);
	prctl(PR_SET_DUMPABLE, 1); /* for the leak check */
}

/* A full disk: a limit on the file size fails at the same places, and needs no privilege. */
static void with_limit(rlim_t bytes, const char *name)
{
	struct rlimit lim = {bytes, RLIM_INFINITY}, old;
	struct image_writer *w = writer_open(&op, in(&s, name), false);
	uint8_t rec[300] = {};
	int r = 0;

	getrlimit(RLIMIT_FSIZE, &old);
	lim.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	for (uint64_t i = 0; r == 0 && i < 40000; i++)
		r = image_add(&op, w, "rec", i, rec, sizeof(rec));
	if (r < 0)
		image_writer_abort(w);
	else
		r = commit_as(&op, w, TEST_CRID);
	setrlimit(RLIMIT_FSIZE, &old);
	cr_assert_eq(r, -EFBIG);
	failed_with(&op, CKPT_E_SPACE, "records: write: File too large");
	op_done(&op, NULL);
	op_init(&op, NULL);
}

Test(image, no_space_while_adding_and_at_the_commit)
{
	with_limit(1000, "img");
	with_limit(11000000, "img"); /* the third and last write */
	cr_assert_eq(entries(s.dir), 0);
	cr_assert_eq(mkdir(in(&s, "img"), 0755), 0);
	with_limit(1000, "img");
	cr_assert_eq(entries(in(&s, "img")), 0);
}

Test(image, no_space_for_the_manifest)
{
	struct image_writer *w = writer_open(&op, in(&s, "img"), false);
	struct rlimit lim, old;
	int r;

	getrlimit(RLIMIT_FSIZE, &old);
	lim = old;
	lim.rlim_cur = 8;
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	r = commit_as(&op, w, TEST_CRID);
	setrlimit(RLIMIT_FSIZE, &old);
	cr_assert_eq(r, -EFBIG);
	failed_with(&op, CKPT_E_SPACE, "manifest: write");
	cr_assert_eq(entries(s.dir), 0);
}

Test(image, bad_tags_are_refused)
{
	struct image_writer *w = writer_open(&op, in(&s, "img"), false);
	char tag[257];

	memset(tag, 'a', 256);
	tag[256] = 0;
	cr_assert_lt(image_add(&op, w, tag, 1, "", 0), 0);
	tag[255] = 0;
	cr_assert_eq(image_add(&op, w, tag, 1, "", 0), 0);
	cr_assert_lt(image_add(&op, w, "", 1, "", 0), 0);
	cr_assert_lt(image_add(&op, w, "A", 1, "", 0), 0);
	cr_assert_lt(image_add(&op, w, "a b", 1, "", 0), 0);
	image_writer_abort(w);
}

Test(image, crids_are_unique_and_grow)
{
	uint64_t last = 0;

	for (int i = 0; i < 100000; i++) {
		uint64_t id = image_crid_new();

		cr_assert_gt(id, last);
		cr_assert_leq(id, (uint64_t)INT64_MAX);
		last = id;
	}
	/* 2020-01-01 .. 2200-01-01 */
	cr_assert_gt(last, 1577836800000000000u);
	cr_assert_lt(last, 7258118400000000000u);
}

Test(image, store_directory)
{
	_cleanup_free_ char *root = NULL, *state = NULL, *home = NULL;

	if (geteuid() == 0) {
		cr_assert_eq(image_store_dir(&op, 5, &root), 0);
		cr_assert_str_eq(root, "/var/lib/ckpt/5");
		cr_assert_eq(seteuid(65534), 0);
	}
	setenv("XDG_STATE_HOME", "/s", 1);
	cr_assert_eq(image_store_dir(&op, 6, &state), 0);
	cr_assert_str_eq(state, "/s/ckpt/6");
	setenv("XDG_STATE_HOME", "not/absolute", 1);
	setenv("HOME", "/h", 1);
	cr_assert_eq(image_store_dir(&op, 7, &home), 0);
	cr_assert_str_eq(home, "/h/.local/state/ckpt/7");
	cr_assert_eq(seteuid(getuid()), 0);
	prctl(PR_SET_DUMPABLE, 1); /* for the leak check */
}
