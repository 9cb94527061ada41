/*
 * pty_users.c - see pty_users.h.
 */
#include "kernel/pty_users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <asm/ioctls.h>

#include "kernel/fdinfo.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"

#define MAJOR_PTS      136
#define NOT_ASKED_FOR  SIZE_MAX
#define LINK_MAX_BYTES 256

static size_t find(const struct pty_search *s, uint32_t index, const dev_t *devpts)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].index == index && (!devpts || s->v[i].devpts == *devpts))
			return i;
	return NOT_ASKED_FOR;
}

static int index_line(char *key, char *value, void *arg)
{
	const char *p = value;

	return strcmp(key, "tty-index") == 0 ? str_u32(&p, 10, arg) : 0;
}

/* One process that is looked at. */
struct look {
	const struct pty_search *s;
	struct pty_user user;
	int procfd;
	bool *told;  /* of each terminal that was asked for */
	bool *other; /* it has one of that number, but of another file system */
};

static size_t find_in(struct look *l, uint32_t index, dev_t devpts)
{
	size_t any = find(l->s, index, NULL), which = find(l->s, index, &devpts);

	if (which == NOT_ASKED_FOR && any != NOT_ASKED_FOR)
		l->other[any] = true;
	return which;
}

/* Its file system is only told by its slave, which a copy of the descriptor leads to. */
static size_t by_master(struct look *l, int fd)
{
	_cleanup_close_ int pidfd = -EBADF, copy = -EBADF, peer = -EBADF;
	uint32_t index = UINT32_MAX;
	struct fdinfo info;
	struct stat st;

	if (fdinfo_read(l->procfd, fd, &info, index_line, &index) < 0 ||
		find(l->s, index, NULL) == NOT_ASKED_FOR)
		return NOT_ASKED_FOR;
	pidfd = pidfd_of(l->user.pid);
	copy = pidfd < 0 ? -EBADF : pidfd_take(pidfd, fd);
	peer = copy < 0 ? -EBADF : ioctl(copy, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	return peer >= 0 && fstat(peer, &st) == 0 ? find_in(l, index, st.st_dev) : NOT_ASKED_FOR;
}

static size_t terminal_of(struct look *l, int fd)
{
	char path[32], link[LINK_MAX_BYTES];
	struct stat st;
	ssize_t n;
	const char *name;

	snprintf(path, sizeof(path), "fd/%d", fd);
	n = readlinkat(l->procfd, path, link, sizeof(link) - 1);
	if (n <= 0)
		return NOT_ASKED_FOR;
	link[n] = '\0';
	name = strrchr(link, '/');
	if (name && strcmp(name, "/ptmx") == 0)
		return by_master(l, fd);
	if (!name || name[1] < '0' || name[1] > '9' || fstatat(l->procfd, path, &st, 0) < 0 ||
		!S_ISCHR(st.st_mode) || major(st.st_rdev) != MAJOR_PTS)
		return NOT_ASKED_FOR;
	return find_in(l, minor(st.st_rdev), st.st_dev);
}

/* The file system of it is not told, but whose session it is. */
static size_t controlling(const struct look *l, uint32_t index, pid_t session)
{
	for (size_t i = 0; i < l->s->n; i++) {
		const struct pty_id *id = &l->s->v[i];

		if (id->index == index && (id->session < 0 || id->session == session))
			return i;
	}
	return NOT_ASKED_FOR;
}

/* Once for each terminal. */
static int tell(struct look *l, size_t which, int fd)
{
	if (which == NOT_ASKED_FOR || l->told[which])
		return 0;
	l->told[which] = true;
	l->user.which = which;
	l->user.fd = fd;
	return l->s->found(&l->user, l->s->arg);
}

static int look_at(struct look *l)
{
	_cleanup_close_ int procfd = proc_open(l->user.pid);
	_cleanup_free_ int *fds = NULL;
	struct proc_stat st;
	size_t n = 0, which;
	int r = 0;

	if (procfd < 0 || proc_stat_read(procfd, 0, &st) < 0)
		return 0;
	l->procfd = procfd;
	memcpy(l->user.comm, st.comm, sizeof(l->user.comm));
	if (fdinfo_list(procfd, &fds, &n) < 0)
		n = 0;
	memset(l->told, 0, l->s->n * sizeof(*l->told));
	memset(l->other, 0, l->s->n * sizeof(*l->other));
	for (size_t i = 0; i < n && r == 0; i++)
		r = tell(l, terminal_of(l, fds[i]), fds[i]);
	/* of a zombie it is still told, though it has let go of all */
	if (r != 0 || st.state == 'Z' || st.state == 'X' || !st.tty_nr ||
		major(st.tty_nr) != MAJOR_PTS)
		return r;
	which = controlling(l, minor(st.tty_nr), st.session);
	return which == NOT_ASKED_FOR || l->other[which] ? 0 : tell(l, which, -1);
}

int pty_users(const struct pty_search *s)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ bool *flags = calloc(2 * s->n + 1, sizeof(*flags));
	_cleanup_free_ int *pids = NULL;
	struct look l = {.s = s, .told = flags, .other = flags + s->n};
	size_t n = 0;
	int r = proc < 0 ? -errno : !flags ? -ENOMEM : proc_numbers(proc, ".", &pids, &n);

	for (size_t i = 0; i < n && r == 0; i++) {
		l.user.pid = pids[i];
		if (!s->skip || !s->skip(pids[i], s->arg))
			r = look_at(&l);
	}
	return r;
}
