/*
 * Reading and writing timens_offsets: see the header.
 */
#include "kernel/timens.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define NS_PER_S 1000000000LL

static bool scan(const char *text, const char *name, int64_t *ret)
{
	const char *p = strstr(text, name);
	int64_t s, ns;

	if (!p)
		return false;
	p += strlen(name);
	str_skip_blanks(&p);
	if (str_s64(&p, &s) < 0)
		return false;
	str_skip_blanks(&p);
	if (str_s64(&p, &ns) < 0)
		return false;
	*ret = s * NS_PER_S + ns;
	return true;
}

int timens_parse(const char *text, struct timens_offsets *ret)
{
	struct timens_offsets o;

	if (!scan(text, "monotonic", &o.monotonic_ns) || !scan(text, "boottime", &o.boottime_ns))
		return -EBADMSG;
	*ret = o;
	return 0;
}

int timens_read(int procfd, struct timens_offsets *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(procfd, "timens_offsets", &text, NULL);

	return r < 0 ? r : timens_parse(text, ret);
}

/* Nanoseconds are never negative. */
static int format(char *buf, size_t len, const char *name, int64_t ns)
{
	int64_t s = ns / NS_PER_S, rest = ns % NS_PER_S;

	if (rest < 0) {
		rest += NS_PER_S;
		s--;
	}
	return snprintf(buf, len, "%s %lld %lld\n", name, (long long)s, (long long)rest);
}

int timens_unshare(const struct timens_offsets *offsets)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64], text[128];
	int n;

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	/* /proc/self is the first thread */
	snprintf(path, sizeof(path), "/proc/%ld/timens_offsets", syscall(SYS_gettid));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = format(text, sizeof(text), "monotonic", offsets->monotonic_ns);
	n += format(text + n, sizeof(text) - (size_t)n, "boottime", offsets->boottime_ns);
	return write_full(fd, text, (size_t)n);
}

int timens_join(const struct timens_offsets *offsets)
{
	_cleanup_close_ int fd = -EBADF;
	int r = timens_unshare(offsets);

	if (r < 0)
		return r;
	fd = open("/proc/thread-self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWTIME) < 0 ? -errno : 0;
}
