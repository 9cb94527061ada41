/*
 * pty_users.c - see pty_users.h.
 */
#include "kernel/pty_users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#define MAJOR_PTS      136
#define LINK_MAX_BYTES 64 /* a terminal's name is shorter */

struct search {
	dev_t devpts;
	uint32_t index;
	char tail[16]; /* "/N": the end of a slave's name */
};

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n >= m && str_eq(s + n - m, tail);
}

static int index_line(char *key, char *value, void *arg)
{
	const char *p = value;

	return strcmp(key, "tty-index") == 0 ? str_u32(&p, 10, arg) : 0;
}

/* The number of the slave and the file system make a terminal; of a master the number has to do. */
static bool is_it(const struct search *s, int procfd, int fd)
{
	char path[32], link[LINK_MAX_BYTES];
	uint32_t index = UINT32_MAX;
	struct fdinfo info;
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "fd/%d", fd);
	n = readlinkat(procfd, path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	if (ends_with(link, "ptmx"))
		return fdinfo_read(procfd, fd, &info, index_line, &index) == 0 && index == s->index;
	return ends_with(link, s->tail) && fstatat(procfd, path, &st, 0) == 0 &&
	       S_ISCHR(st.st_mode) && st.st_dev == s->devpts && minor(st.st_rdev) == s->index;
}

static bool uses(const struct search *s, pid_t pid, struct pty_user *ret)
{
	_cleanup_close_ int procfd = proc_open(pid);
	_cleanup_free_ int *fds = NULL;
	struct proc_stat st;
	size_t n = 0;
	bool controlling, found = false;

	if (procfd < 0 || proc_stat_read(procfd, 0, &st) < 0)
		return false;
	controlling = st.tty_nr && (dev_t)st.tty_nr == makedev(MAJOR_PTS, s->index);
	if (!controlling && fdinfo_list(procfd, &fds, &n) < 0)
		return false;
	*ret = (struct pty_user){.pid = pid, .fd = -1};
	memcpy(ret->comm, st.comm, sizeof(ret->comm));
	for (size_t i = 0; i < n && !found; i++) {
		found = is_it(s, procfd, fds[i]);
		ret->fd = found ? fds[i] : -1;
	}
	return found || controlling;
}

int pty_user_find(dev_t devpts, uint32_t index, bool (*skip)(pid_t pid, void *arg), void *arg,
	struct pty_user *ret)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct search s = {.devpts = devpts, .index = index};
	_cleanup_free_ int *pids = NULL;
	size_t n = 0;
	int r = proc < 0 ? -errno : proc_numbers(proc, ".", &pids, &n);

	if (r < 0)
		return r;
	snprintf(s.tail, sizeof(s.tail), "/%u", index);
	for (size_t i = 0; i < n; i++)
		if (!(skip && skip(pids[i], arg)) && uses(&s, pids[i], ret))
			return 1;
	return 0;
}
