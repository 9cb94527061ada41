/*
 * The parser of fdinfo: see the header.
 */
#include "kernel/fdinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#define TEXT_BYTES 2048 /* what most have is below a hundred */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cut a line (without its newline) in two. Return: the value. */
static char *line_split(char **line)
{
	char *p = *line, *colon, *value;

	while (is_blank(*p))
		p++;
	*line = p;
	colon = strchr(p, ':');
	if (colon && (is_blank(colon[1]) || colon[1] == '\0'))
		value = colon;
	else
		value = p + strcspn(p, " \t");
	if (*value != '\0')
		*value++ = '\0';
	while (is_blank(*value))
		value++;
	return value;
}

/* A line that every fdinfo has: 1, and *ret_r the result of scanning it; else 0. */
static int common_line(const char *key, const char *value, struct fdinfo *info, int *ret_r)
{
	const char *p = value;

	if (str_eq(key, "pos"))
		*ret_r = str_s64(&p, &info->pos);
	else if (str_eq(key, "flags"))
		*ret_r = str_u32(&p, 8, &info->flags);
	else if (str_eq(key, "mnt_id"))
		*ret_r = str_int(&p, &info->mnt_id);
	else if (str_eq(key, "ino"))
		*ret_r = str_u64(&p, 10, &info->ino);
	else
		return 0;
	if (*ret_r < 0 || *p != '\0')
		*ret_r = -EBADMSG;
	return 1;
}

int fdinfo_parse(char *text, struct fdinfo *ret, fdinfo_line_fn *line, void *arg)
{
	struct fdinfo info = {.mnt_id = -1};
	bool pos = false, flags = false, common = true;
	int r = 0;

	while (*text) {
		char *next = strchrnul(text, '\n'), *key = text, *value;

		if (*next != '\0')
			*next++ = '\0';
		value = line_split(&key);
		/* The common lines come first: a later line of such a key is the kind's. */
		common = common && common_line(key, value, &info, &r);
		if (common) {
			pos |= str_eq(key, "pos");
			flags |= str_eq(key, "flags");
		} else if (line && *key) {
			r = line(key, value, arg);
		}
		if (r < 0)
			return r;
		text = next;
	}
	if (!pos || !flags)
		return -EBADMSG;
	*ret = info;
	return 0;
}

/*
 * One read: the kernel makes the whole text at once (single_open() in fs/proc/fd.c), so that less
 * than was asked for is all. Only an epoll set or a file with many locks has more.
 */
int fdinfo_read(int procfd, int fd, struct fdinfo *ret, fdinfo_line_fn *line, void *arg)
{
	char path[sizeof("fdinfo/-2147483648")], text[TEXT_BYTES];
	_cleanup_close_ int info = -EBADF;
	_cleanup_free_ char *whole = NULL;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	info = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, text, sizeof(text));
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(text)) {
		text[n] = '\0';
		return fdinfo_parse(text, ret, line, arg);
	}
	r = file_read_at(procfd, path, &whole, NULL);
	return r < 0 ? r : fdinfo_parse(whole, ret, line, arg);
}

int fdinfo_list(int procfd, int **ret, size_t *ret_n)
{
	return proc_numbers(procfd, "fd", ret, ret_n);
}
