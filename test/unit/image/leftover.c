/*
 * What dead writers left is removed by the next one; a living writer's, and the user's own, is not.
 */
#include "image/leftover.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "fixture.h"

static char said[4096]; /* the log */

static void remember(void *arg, enum ckpt_log_level level, const char *line)
{
	size_t len = strlen(said);

	snprintf(said + len, sizeof(said) - len, "%d %s\n", level, line);
}

static void init(void)
{
	struct ckpt_common common = {.log_level = CKPT_LOG_INFO, .log = remember};

	scratch_init(&s);
	said[0] = 0;
	op_init(&op, &common);
}

TestSuite(leftover, .init = init, .fini = fixture_done);

/* A writer that dies by SIGKILL: at @fault of its commit, or before it where that is NULL. */
static void writer_dies(const char *dir, bool force, const char *fault)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct image_writer *w = writer_open(&op, dir, force);

		small_image_fill(&op, w);
		if (fault)
			setenv("CKPT_FAULT", fault, 1);
		if (fault)
			commit_as(&op, w, TEST_CRID + 100);
		kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* An image by an operation whose log is kept. */
static void image_now(const char *dir, uint64_t crid, bool force)
{
	struct image_writer *w = writer_open(&op, dir, force);

	small_image_fill(&op, w);
	cr_assert_eq(commit_as(&op, w, crid), 0, "%s", op.first.object);
}

static void expect_said(const char *part)
{
	cr_assert_not_null(strstr(said, part), "no \"%s\" in: %s", part, said);
}

Test(leftover, a_dead_writers_directory_goes)
{
	writer_dies(in(&s, "img"), false, NULL);
	writer_dies(in(&s, "img"), false, "dump.rename:kill");
	cr_assert_eq(entries(s.dir), 1, "the second has removed what the first left");
	image_now(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(entries(s.dir), 1);
	cr_assert_eq(entries(in(&s, "img")), 3);
	expect_said("left by a dump that was killed");
}

Test(leftover, whatever_its_goal_was)
{
	writer_dies(in(&s, "1700000000000000007"), false, NULL);
	image_now(in(&s, "1700000000000000008"), TEST_CRID, false);
	cr_assert_eq(entries(s.dir), 1);
}

Test(leftover, beside_a_directory_that_is_there)
{
	writer_dies(in(&s, "img"), false, NULL);
	cr_assert_eq(mkdir(in(&s, "img"), 0700), 0);
	image_now(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(entries(s.dir), 1);
}

Test(leftover, a_living_writers_directory_stays)
{
	struct image_writer *w = writer_open(&op, in(&s, "a"), false);

	small_image_fill(&op, w);
	cr_assert_eq(entries(s.dir), 1);
	small_image(in(&s, "b"), TEST_CRID, false);
	cr_assert_eq(entries(s.dir), 2);
	cr_assert_eq(commit_as(&op, w, TEST_CRID + 1), 0);
	cr_assert_eq(entries(in(&s, "a")), 3);
}

/* Of a directory only what a writer makes is removed; what else is in it keeps it. */
Test(leftover, others_files_stay)
{
	cr_assert_eq(mkdir(in(&s, ".img.ckpt-5.tmp"), 0700), 0);
	file_put(in(&s, ".img.ckpt-5.tmp/records"), "x", 1);
	file_put(in(&s, ".img.ckpt-5.tmp/notes"), "x", 1);
	cr_assert_eq(mkdir(in(&s, ".img.ckpt-5x.tmp"), 0700), 0);
	cr_assert_eq(mkdir(in(&s, ".img.ckpt-.tmp"), 0700), 0);
	cr_assert_eq(mkdir(in(&s, "img.ckpt-5.tmp"), 0700), 0);
	cr_assert_eq(mkdir(in(&s, ".open.ckpt-5.tmp"), 0755), 0);
	cr_assert_eq(symlink(".img.ckpt-.tmp", in(&s, ".link.ckpt-5.tmp")), 0);
	image_now(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(entries(s.dir), 7);
	cr_assert_eq(entries(in(&s, ".img.ckpt-5.tmp")), 1);
	expect_said("can't be removed: Directory not empty");
}

Test(leftover, files_in_a_directory_that_was_there)
{
	const char *dir = in(&s, "img");

	cr_assert_eq(mkdir(dir, 0755), 0);
	file_put(in(&s, "img/records-1700000000000000055"), "the user's", 10);
	file_put(in(&s, "img/.ckpt-1-notes"), "the user's", 10);
	writer_dies(dir, false, NULL);
	cr_assert_eq(entries(dir), 2 + 3);
	/* At the last instant its data files have their names. */
	writer_dies(dir, false, "dump.rename:kill");
	cr_assert_eq(access(in(&s, "img/records-1700000000000000101"), F_OK), 0);
	cr_assert_eq(entries(dir), 2 + 3);
	image_now(dir, TEST_CRID, false);
	cr_assert_eq(entries(dir), 2 + 3);
	cr_assert_eq(access(in(&s, "img/records-1700000000000000101"), F_OK), -1);
	expect_said("removed 3 files of a dump that was killed");
}

Test(leftover, an_image_that_a_dead_writer_was_to_replace)
{
	const char *dir = in(&s, "img");

	small_image(dir, TEST_CRID, false);
	writer_dies(dir, true, "dump.rename:kill");
	image_now(dir, TEST_CRID + 1, true);
	cr_assert_eq(entries(dir), 3);
}

/* Death between the commit and the removal of the replaced image: its manifest has a second name. */
Test(leftover, files_of_an_image_that_is_replaced)
{
	const char *dir = in(&s, "img");
	char *manifest;
	size_t len;

	small_image(dir, TEST_CRID, false);
	manifest = file_get(in(&s, "img/manifest"), &len);
	small_image(dir, TEST_CRID + 1, true);
	dir = in(&s, "img");
	file_put(in(&s, "img/.ckpt-9-old-manifest.tmp"), manifest, len);
	file_put(in(&s, "img/records"), "x", 1);
	file_put(in(&s, "img/pages-1"), "x", 1);
	file_put(in(&s, "img/pages-9"), "not listed", 10);
	free(manifest);
	image_now(dir, TEST_CRID + 2, true);
	cr_assert_eq(entries(dir), 3 + 1);
	cr_assert_eq(access(in(&s, "img/pages-9"), F_OK), 0);
}

/* What the link lists is still the image's: death came before the commit. */
Test(leftover, files_that_the_image_still_has)
{
	const char *dir = in(&s, "img");
	struct image_writer *w;

	small_image(dir, TEST_CRID, false);
	cr_assert_eq(link(in(&s, "img/manifest"), in(&s, "img/.ckpt-9-old-manifest.tmp")), 0);
	w = writer_open(&op, dir, true);
	cr_assert_eq(access(in(&s, "img/records"), F_OK), 0);
	cr_assert_eq(access(in(&s, "img/pages-1"), F_OK), 0);
	cr_assert_eq(access(in(&s, "img/.ckpt-9-old-manifest.tmp"), F_OK), -1);
	image_writer_abort(w);
	cr_assert_eq(entries(dir), 3);
}

/* A directory that cannot be told to be dead: somebody holds its lock. */
Test(leftover, a_locked_directory_stays)
{
	int fd;

	cr_assert_eq(mkdir(in(&s, ".img.ckpt-5.tmp"), 0700), 0);
	fd = open(in(&s, ".img.ckpt-5.tmp"), O_RDONLY | O_DIRECTORY);
	cr_assert_eq(flock(fd, LOCK_SH), 0);
	image_now(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(entries(s.dir), 2);
	close(fd);
	image_now(in(&s, "img2"), TEST_CRID + 1, false);
	cr_assert_eq(entries(s.dir), 2, "img and img2");
}
