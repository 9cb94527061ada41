/*
 * Whole reads and writes, whole files, and the cleanup attributes around them.
 */
#include "util/fd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"

static int memfile(const void *data, size_t len)
{
	int fd = memfd_create("unit", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite_full(fd, data, len, 0), 0);
	return fd;
}

Test(fd, close_keeps_errno_and_accepts_empty)
{
	int p[2];

	cr_assert_eq(pipe(p), 0);
	errno = ENOENT;
	cr_assert_eq(fd_close(p[0]), -EBADF);
	cr_assert_eq(fd_close(-EBADF), -EBADF);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(fcntl(p[0], F_GETFD), -1);
	fd_close(p[1]);
}

static void *write_slowly(void *arg)
{
	int fd = *(int *)arg, i;

	for (i = 0; i < 5; i++) {
		char c = (char)('a' + i);

		usleep(1000);
		if (write(fd, &c, 1) != 1)
			break;
	}
	close(fd);
	return NULL;
}

Test(fd, read_full_gathers_short_reads)
{
	char buf[4];
	pthread_t t;
	int p[2];

	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(pthread_create(&t, NULL, write_slowly, &p[1]), 0);
	cr_assert_eq(read_full(p[0], buf, 4), 0);
	cr_assert_eq(memcmp(buf, "abcd", 4), 0);
	cr_assert_eq(read_full(p[0], buf, 2), -ENODATA);
	pthread_join(t, NULL);
	fd_close(p[0]);
}

Test(fd, pread_full_past_the_end)
{
	_cleanup_close_ int fd = memfile("0123456789", 10);
	char buf[8] = "";

	cr_assert_eq(pread_full(fd, buf, 3, 7), 0);
	cr_assert_str_eq(buf, "789");
	cr_assert_eq(pread_full(fd, buf, 4, 7), -ENODATA);
	cr_assert_eq(lseek(fd, 0, SEEK_CUR), 0);
}

Test(fd, errors_are_negative_errno)
{
	_cleanup_close_ int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	char c = 0;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write_full(fd, &c, 1), -ENOSPC);
	cr_assert_eq(read_full(-1, &c, 1), -EBADF);
	cr_assert_eq(pwrite_full(-1, &c, 1, 0), -EBADF);
}

Test(fd, read_all_of_every_size_around_the_growth)
{
	static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 8190, 8191, 8192, 300000};
	size_t i, k;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		_cleanup_free_ unsigned char *data = malloc(sizes[i] + 1);
		_cleanup_free_ char *got = NULL;
		_cleanup_close_ int fd = -EBADF;
		size_t len = SIZE_MAX;

		for (k = 0; k < sizes[i]; k++)
			data[k] = (unsigned char)(k * 7 + k / 256);
		fd = memfile(data, sizes[i]);
		cr_assert_eq(fd_read_all(fd, &got, &len), 0);
		cr_assert_eq(len, sizes[i]);
		cr_assert_eq(memcmp(got, data, len), 0);
		cr_assert_eq(got[len], '\0');
	}
}

Test(fd, file_read_at_proc_and_missing)
{
	_cleanup_free_ char *text = NULL;
	char untouched, *none = &untouched;
	size_t len;

	cr_assert_eq(file_read_at(AT_FDCWD, "/proc/self/status", &text, &len), 0);
	cr_assert_eq(strlen(text), len);
	cr_assert_eq(strncmp(text, "Name:", 5), 0);
	cr_assert_eq(file_read_at(AT_FDCWD, "/proc/self/no-such", &none, NULL), -ENOENT);
	cr_assert_eq(none, &untouched);
}

Test(fd, path_of_an_fd)
{
	_cleanup_close_ int fd = open("/", O_PATH | O_CLOEXEC);
	_cleanup_free_ char *path = NULL;
	char *none = NULL;

	cr_assert_eq(fd_path(fd, &path), 0);
	cr_assert_str_eq(path, "/");
	cr_assert_eq(fd_path(1000000, &none), -EBADF);
}

Test(fd, long_link_is_read_whole)
{
	char dir[] = "/tmp/unit-fd-XXXXXX", target[2001], name[64];
	_cleanup_free_ char *got = NULL;

	cr_assert_not_null(mkdtemp(dir));
	memset(target, 'x', 2000);
	target[2000] = '\0';
	snprintf(name, sizeof(name), "%s/l", dir);
	cr_assert_eq(symlink(target, name), 0);
	cr_assert_eq(link_read_at(AT_FDCWD, name, &got), 0);
	cr_assert_str_eq(got, target);
	unlink(name);
	rmdir(dir);
}

static int scope(int *ret_number, char **ret_text)
{
	_cleanup_close_ int closed = dup(0), taken = dup(0);
	_cleanup_free_ char *text = strdup("kept");

	*ret_number = closed;
	*ret_text = TAKE_PTR(text);
	cr_assert_null(text);
	return TAKE_FD(taken);
}

Test(cleanup, scope_closes_what_was_not_taken)
{
	char *text;
	int closed, taken = scope(&closed, &text);

	cr_assert_eq(fcntl(closed, F_GETFD), -1);
	cr_assert_neq(fcntl(taken, F_GETFD), -1);
	cr_assert_str_eq(text, "kept");
	free(text);
	fd_close(taken);
}
