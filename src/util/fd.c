/*
 * Whole transfers and whole files over read(2) and write(2): see the header. A buffer grows by
 * doubling, starting at a page, so that a file of n bytes costs about log2(n) reads and one more
 * that sees the end.
 */
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/cleanup.h"

#define READ_FIRST_BYTES 4096

int fd_close(int fd)
{
	int saved = errno;

	/* On Linux the descriptor is gone whatever close() says: EINTR must not be retried. */
	if (fd >= 0)
		close(fd);
	errno = saved;
	return -EBADF;
}

int read_full(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int pread_full(int fd, void *buf, size_t len, off_t offset)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

int pwrite_full(int fd, const void *buf, size_t len, off_t offset)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

/* Double the buffer, keeping what it holds. */
static int buf_grow(char **buf, size_t *cap)
{
	size_t want = *cap ? *cap * 2 : READ_FIRST_BYTES;
	char *p;

	if (want < *cap)
		return -ENOMEM;
	p = realloc(*buf, want);
	if (!p)
		return -ENOMEM;
	*buf = p;
	*cap = want;
	return 0;
}

int fd_read_all(int fd, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *buf = NULL;
	size_t cap = 0, len = 0;

	for (;;) {
		ssize_t n;

		if (cap - len < 2 && buf_grow(&buf, &cap) < 0)
			return -ENOMEM;
		n = read(fd, buf + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read_at(int dirfd, const char *path, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return fd_read_all(fd, ret, ret_len);
}

int link_read_at(int dirfd, const char *path, char **ret)
{
	_cleanup_free_ char *buf = NULL;
	size_t cap = 256;

	for (;;) {
		char *p = realloc(buf, cap);
		ssize_t n;

		if (!p)
			return -ENOMEM;
		buf = p;
		n = readlinkat(dirfd, path, buf, cap);
		if (n < 0)
			return -errno;
		if ((size_t)n < cap) {
			buf[n] = '\0';
			break;
		}
		cap *= 2;
	}
	*ret = TAKE_PTR(buf);
	return 0;
}

int fd_path(int fd, char **ret)
{
	char name[sizeof("/proc/self/fd/-2147483648")];
	int r;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	r = link_read_at(AT_FDCWD, name, ret);
	return r == -ENOENT ? -EBADF : r;
}

void fd_limit_raise(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}
