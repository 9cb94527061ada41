/*
 * What the file victims share: how a descriptor looks from inside, whether two descriptors are one
 * open file description, and that the table of descriptors holds nothing new and misses nothing.
 */
#ifndef TEST_E2E_FDS_H
#define TEST_E2E_FDS_H

#include "victim.h"
#include <dirent.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <sys/stat.h>

#define FDS_MAX 65536

/* Everything that a program can ask of a descriptor without using it. */
struct fds_view {
	long long pos;
	unsigned flags; /* fdinfo's, so that O_CLOEXEC and O_PATH are in it */
	char link[256];
	struct stat st;
};

static inline void fds_view(int fd, struct fds_view *v)
{
	char path[64], text[1024], *flags;

	memset(v, 0, sizeof(*v));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	victim_slurp(path, text, sizeof(text));
	flags = strstr(text, "flags:");
	CHECK(flags && sscanf(text, "pos: %lld", &v->pos) == 1 &&
			sscanf(flags, "flags: %o", &v->flags) == 1,
		"fdinfo of %d: '%s'", fd, text);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	MUST(readlink(path, v->link, sizeof(v->link) - 1));
	MUST(fstat(fd, &v->st));
}

/* The same file in the same state; inode numbers only where the file is not made anew (by_inode). */
static inline void fds_expect(int fd, const struct fds_view *was, bool by_inode, const char *what)
{
	struct fds_view now;

	fds_view(fd, &now);
	CHECK(now.pos == was->pos, "%s: position: expected %lld, got %lld", what, was->pos,
		now.pos);
	CHECK(now.flags == was->flags, "%s: flags: expected %#o, got %#o", what, was->flags,
		now.flags);
	CHECK(now.st.st_mode == was->st.st_mode, "%s: mode: expected %#o, got %#o", what,
		was->st.st_mode, now.st.st_mode);
	CHECK(now.st.st_rdev == was->st.st_rdev, "%s: device: expected %#lx, got %#lx", what,
		(long)was->st.st_rdev, (long)now.st.st_rdev);
	CHECK(now.st.st_size == was->st.st_size, "%s: size: expected %ld, got %ld", what,
		(long)was->st.st_size, (long)now.st.st_size);
	CHECK(now.st.st_uid == was->st.st_uid && now.st.st_gid == was->st.st_gid,
		"%s: owner: expected %u:%u, got %u:%u", what, was->st.st_uid, was->st.st_gid,
		now.st.st_uid, now.st.st_gid);
	if (!by_inode)
		return;
	CHECK(!strcmp(now.link, was->link), "%s: expected '%s', got '%s'", what, was->link,
		now.link);
	CHECK(now.st.st_ino == was->st.st_ino && now.st.st_dev == was->st.st_dev,
		"%s: another file: inode %lu, was %lu", what, (long)now.st.st_ino,
		(long)was->st.st_ino);
}

static inline bool fds_same(int a, int b)
{
	long order = MUST(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b));

	return order == 0;
}

/* The open descriptors, as a list of numbers; the one that looks is left out. */
struct fds_table {
	int n, fd[4096];
};

static inline void fds_table(struct fds_table *ret)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	CHECK(dir, "/proc/self/fd: %s", strerror(errno));
	ret->n = 0;
	while ((e = readdir(dir))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.' || fd == dirfd(dir))
			continue;
		CHECK(ret->n < 4096, "too many descriptors");
		ret->fd[ret->n++] = fd;
	}
	closedir(dir);
}

static inline void fds_expect_table(const struct fds_table *was)
{
	static struct fds_table now;

	fds_table(&now);
	for (int i = 0; i < was->n && i < now.n; i++)
		CHECK(was->fd[i] == now.fd[i], "descriptors: expected %d, got %d", was->fd[i],
			now.fd[i]);
	CHECK(was->n == now.n, "descriptors: expected %d of them, got %d", was->n, now.n);
}

/* One byte of a text that is never the same twice in a row, at an offset. */
static inline char fds_byte(int seed, long long at)
{
	return ' ' + (at * 31 + at / 95 * 7 + seed * 13) % 95;
}

static inline void fds_put(int fd, int seed, long long at, size_t len)
{
	char buf[4096];

	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = fds_byte(seed, at + i);
		CHECK(write(fd, buf, n) == (ssize_t)n, "write: %s", strerror(errno));
		at += n;
		len -= n;
	}
}

/* Reads on from the descriptor's own position: these bytes, in this order. */
static inline void fds_expect_read(int fd, int seed, long long at, size_t len, const char *what)
{
	char buf[4096];

	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t got = read(fd, buf, n);

		CHECK(got > 0, "%s: read at %lld: got %zd (%s), %zu bytes missing", what, at, got,
			strerror(errno), len);
		for (ssize_t i = 0; i < got; i++)
			CHECK(buf[i] == fds_byte(seed, at + i),
				"%s: byte %lld: expected %#x, got %#x", what, at + i,
				fds_byte(seed, at + i), buf[i]);
		at += got;
		len -= got;
	}
}

/* A file of the current directory with such a text; returns its fd, open for both, at its end. */
static inline int fds_file(const char *name, int flags, int seed, size_t len)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC | flags, 0644));

	fds_put(fd, seed, 0, len);
	return fd;
}

#endif
