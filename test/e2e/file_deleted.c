/*
 * e2e: args: plain attributes tmpfile sparse linked replaced renamed orphan nofollow
 *
 * Holds: plain: a deleted file, open for reading and writing by one description and read-only by
 *        another, with mode, owner and times of its own; attributes: one
 *        with extended attributes, a list of access among them; tmpfile: an O_TMPFILE file, to be linked
 *        later; sparse: a deleted file of 3 GiB with three pages in it; linked: a file whose name is
 *        gone, but which has another; replaced: a deleted file under whose name there is a new one;
 *        renamed: a file that has another name now; orphan: a deleted file of a directory that is gone
 *        as well, as the one above it is, and that is open too; nofollow: a deleted file in /dev/shm that
 *        was opened with O_NOFOLLOW, as mkstemp() of Python and shm_open() do, twice, and by O_PATH.
 * Shows: Files: "O_TMPFILE, deleted with contents, hard-linked elsewhere".
 */
#include "fds.h"
#include <sys/xattr.h>

#define LEN 20000
#define BIG (3ll << 30)

static struct fds_view was, was_ro;
static struct fds_table table;

static void handshake(int fd, int ro)
{
	fds_view(fd, &was);
	if (ro >= 0)
		fds_view(ro, &was_ro);
	fds_table(&table);
	victim_ready();
	victim_wait();
	fds_expect_table(&table);
}

static void deleted_plain(void)
{
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1100000000, .tv_nsec = 5}};
	int fd = fds_file("gone", 0, 1, LEN), ro = MUST(open("gone", O_RDONLY));
	struct stat st;

	MUST(unlink("gone"));
	MUST(fchmod(fd, 0640));
	MUST(fchown(fd, 1234, 5678));
	MUST(futimens(fd, times));
	MUST(lseek(fd, 5000, SEEK_SET));
	MUST(lseek(ro, 100, SEEK_SET));
	handshake(fd, ro);
	fds_expect(fd, &was, false, "deleted file");
	fds_expect(ro, &was_ro, false, "deleted file, read-only");
	MUST(fstat(fd, &st));
	CHECK(st.st_nlink == 0, "links: expected 0, got %lu", (long)st.st_nlink);
	CHECK(st.st_mtim.tv_sec == 1100000000 && st.st_mtim.tv_nsec == 5, "mtime: got %ld.%09ld",
		(long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	CHECK(access("gone", F_OK) == -1, "the deleted name is there again");
	fds_expect_read(fd, 1, 5000, 1000, "deleted file");
	fds_expect_read(ro, 1, 100, LEN - 100, "deleted file, read-only");
	CHECK(write(ro, "x", 1) == -1 && errno == EBADF, "the read-only one can be written");
	MUST(lseek(fd, LEN, SEEK_SET));
	fds_put(fd, 1, LEN, 100);
	fds_expect_read(ro, 1, LEN, 100, "what the other description wrote");
}

/* u::rw-, u:7:r--, g::r--, m::rw-, o::--- as the kernel has it: version, then tag, bits, id of each. */
static const char acl[] = "\2\0\0\0"
			  "\1\0\6\0\377\377\377\377"
			  "\2\0\4\0\7\0\0\0"
			  "\4\0\4\0\377\377\377\377"
			  "\20\0\6\0\377\377\377\377"
			  "\40\0\0\0\377\377\377\377";

static void deleted_attributes(void)
{
	static const struct {
		const char *name, *value;
		size_t len;
	} all[] = {{"user.note", "a\0b", 3}, {"user.empty", "", 0}, {"trusted.its", "xyz", 3},
		{"system.posix_acl_access", acl, sizeof(acl) - 1}};
	int fd = fds_file("gone", 0, 1, LEN);
	char list[4096], got[256];
	ssize_t len;

	MUST(fchown(fd, 1234, 5678));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (fsetxattr(fd, all[i].name, all[i].value, all[i].len, 0) < 0)
			SKIP("no %s on this file system: %s", all[i].name, strerror(errno));
	len = MUST(flistxattr(fd, list, sizeof(list)));
	MUST(unlink("gone"));
	handshake(fd, -1);
	fds_expect(fd, &was, false, "deleted file");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ssize_t n = fgetxattr(fd, all[i].name, got, sizeof(got));

		CHECK(n == (ssize_t)all[i].len && !memcmp(got, all[i].value, n), "%s: got %zd (%s)",
			all[i].name, n, strerror(errno));
	}
	CHECK(flistxattr(fd, list, sizeof(list)) == len, "there are others");
}

static void deleted_tmpfile(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600), other;
	char path[64];

	if (fd < 0)
		SKIP("this file system has no O_TMPFILE: %s", strerror(errno));
	fds_put(fd, 2, 0, LEN);
	handshake(fd, -1);
	fds_expect(fd, &was, false, "O_TMPFILE file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW) == 0,
		"it cannot be linked any more: %s", strerror(errno));
	other = MUST(open("linked", O_RDONLY));
	fds_expect_read(other, 2, 0, LEN, "the linked file");
}

static void deleted_sparse(void)
{
	static const long long at[] = {0, 1 << 30, BIG - 4096};
	int fd = MUST(open("gone", O_RDWR | O_CREAT, 0600));
	struct stat st;

	MUST(ftruncate(fd, BIG));
	MUST(unlink("gone"));
	for (int i = 0; i < 3; i++) {
		MUST(lseek(fd, at[i], SEEK_SET));
		fds_put(fd, i, 0, 4096);
	}
	handshake(fd, -1);
	fds_expect(fd, &was, false, "sparse file");
	MUST(fstat(fd, &st));
	CHECK(st.st_blocks * 512 < 1 << 20, "the holes were filled: %ld bytes", st.st_blocks * 512);
	for (int i = 0; i < 3; i++) {
		MUST(lseek(fd, at[i], SEEK_SET));
		fds_expect_read(fd, i, 0, 4096, "sparse file");
	}
	CHECK(victim_dead_s() < 10, "dump and restore took %g s", victim_dead_s());
}

static void deleted_linked(void)
{
	int fd = fds_file("first", 0, 3, LEN), other;

	MUST(mkdir("sub", 0755));
	MUST(link("first", "sub/second"));
	MUST(unlink("first"));
	MUST(lseek(fd, 500, SEEK_SET));
	handshake(fd, -1);
	fds_expect(fd, &was, false, "file that lost one of its names");
	fds_expect_read(fd, 3, 500, LEN - 500, "file that lost one of its names");
	fds_put(fd, 3, LEN, 100);
	other = MUST(open("sub/second", O_RDONLY));
	fds_expect_read(other, 3, 0, LEN + 100, "the other name of the file");
	CHECK(access("first", F_OK) == -1, "the lost name is there again");
}

static void deleted_replaced(void)
{
	int fd = fds_file("journal", 0, 4, LEN), fresh;

	MUST(rename("journal", "journal.1"));
	MUST(unlink("journal.1"));
	close(fds_file("journal", 0, 5, 100));
	handshake(fd, -1);
	fds_expect(fd, &was, false, "replaced file");
	fds_put(fd, 4, LEN, 100);
	MUST(lseek(fd, 0, SEEK_SET));
	fds_expect_read(fd, 4, 0, LEN + 100, "replaced file");
	fresh = MUST(open("journal", O_RDONLY));
	fds_expect_read(fresh, 5, 0, 100, "the new file of that name");
	CHECK(read(fresh, &fd, 1) == 0, "the new file of that name has grown");
}

static void deleted_renamed(void)
{
	int fd = fds_file("old", 0, 6, LEN), other;

	MUST(rename("old", "new name"));
	handshake(fd, -1);
	fds_expect(fd, &was, true, "renamed file");
	fds_put(fd, 6, LEN, 100);
	other = MUST(open("new name", O_RDONLY));
	fds_expect_read(other, 6, 0, LEN + 100, "the file under its new name");
	CHECK(access("old", F_OK) == -1, "the old name is there again");
}

static void deleted_orphan(void)
{
	static struct fds_view was_dir;
	int fd, dir;

	MUST(mkdir("a", 0755));
	MUST(mkdir("a/b", 0751));
	fd = fds_file("a/b/file", 0, 7, LEN);
	dir = MUST(open("a/b", O_RDONLY | O_DIRECTORY));
	MUST(unlink("a/b/file"));
	MUST(rmdir("a/b"));
	MUST(rmdir("a"));
	MUST(lseek(fd, 100, SEEK_SET));
	fds_view(dir, &was_dir);
	handshake(fd, -1);
	fds_expect(fd, &was, false, "file of a directory that is gone");
	fds_expect(dir, &was_dir, false, "directory that is gone");
	fds_expect_read(fd, 7, 100, LEN - 100, "file of a directory that is gone");
	CHECK(access("a", F_OK) == -1 && errno == ENOENT, "the directory is there again");
	CHECK(openat(dir, "new", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT,
		"a file can be made in a directory that is gone");
}

static void deleted_nofollow(void)
{
	char name[64];
	int fd, again, path;

	snprintf(name, sizeof(name), "/dev/shm/ckpt-e2e-%d", getpid());
	fd = MUST(open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
	again = MUST(open(name, O_RDONLY | O_NOFOLLOW));
	path = MUST(open(name, O_PATH | O_NOFOLLOW));
	MUST(unlink(name));
	fds_put(fd, 8, 0, LEN);
	handshake(fd, again);
	fds_expect(fd, &was, false, "file opened with O_NOFOLLOW");
	fds_expect(again, &was_ro, false, "file opened with O_NOFOLLOW again");
	CHECK(fcntl(fd, F_GETFL) & O_NOFOLLOW, "O_NOFOLLOW is gone: flags %o", fcntl(fd, F_GETFL));
	fds_expect_read(again, 8, 0, LEN, "file opened with O_NOFOLLOW");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	again = MUST(open(name, O_RDONLY));
	fds_expect_read(again, 8, 0, LEN, "the file that O_PATH leads to");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"plain", deleted_plain},
		{"attributes", deleted_attributes}, {"tmpfile", deleted_tmpfile},
		{"sparse", deleted_sparse}, {"linked", deleted_linked},
		{"replaced", deleted_replaced}, {"renamed", deleted_renamed},
		{"orphan", deleted_orphan}, {"nofollow", deleted_nofollow}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
