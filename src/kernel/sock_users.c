/*
 * sock_users.c - see sock_users.h.
 */
#include "kernel/sock_users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/proc.h"
#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/str.h"

#define WANTED_BITS 65536

/* Return: 0: it is no socket */
static uint64_t socket_at(int procfd, int fd)
{
	char path[32], link[64];
	const char *number;
	uint64_t ino = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "fd/%d", fd);
	n = readlinkat(procfd, path, link, sizeof(link) - 1);
	if (n <= 0)
		return 0;
	link[n] = '\0';
	number = str_startswith(link, "socket:[");
	return number && str_u64(&number, 10, &ino) == 0 ? ino : 0;
}

/* Which inodes may be looked for, by a few bits of each: most descriptors are of none of these. */
struct wanted {
	uint64_t bits[WANTED_BITS / 64];
};

static void want_all(struct wanted *w, const struct sock_user *v, size_t n)
{
	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < n; i++)
		w->bits[v[i].ino % WANTED_BITS / 64] |= 1ULL << v[i].ino % 64;
}

static bool may_be_wanted(const struct wanted *w, uint64_t ino)
{
	return w->bits[ino % WANTED_BITS / 64] & 1ULL << ino % 64;
}

static size_t users_of(pid_t pid, struct sock_user *v, size_t n, const struct wanted *w)
{
	_cleanup_close_ int procfd = proc_open(pid);
	_cleanup_free_ int *fds = NULL;
	size_t n_fds = 0, found = 0;
	struct proc_stat st;

	if (procfd < 0 || proc_stat_read(procfd, 0, &st) < 0 ||
		fdinfo_list(procfd, &fds, &n_fds) < 0)
		return 0;
	for (size_t i = 0; i < n_fds; i++) {
		uint64_t ino = socket_at(procfd, fds[i]);

		for (size_t k = 0; ino && may_be_wanted(w, ino) && k < n; k++) {
			if (v[k].ino != ino || v[k].pid)
				continue;
			v[k].pid = pid;
			v[k].fd = fds[i];
			snprintf(v[k].comm, sizeof(v[k].comm), "%s", st.comm);
			found++;
		}
	}
	return found;
}

size_t sock_users_of(pid_t pid, struct sock_user *v, size_t n)
{
	struct wanted w;

	want_all(&w, v, n);
	return users_of(pid, v, n, &w);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

int sock_users_but(struct sock_user *v, size_t n, const pid_t *but, size_t n_but)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ int *pids = NULL;
	size_t n_pids = 0, left = n;
	struct wanted w;
	int r = proc < 0 ? -errno : proc_numbers(proc, ".", &pids, &n_pids);

	for (size_t i = 0; i < n; i++)
		v[i].pid = 0;
	want_all(&w, v, n);
	for (size_t i = 0; r == 0 && left && i < n_pids; i++)
		if (!n_but || !bsearch(&pids[i], but, n_but, sizeof(*but), by_pid))
			left -= users_of(pids[i], v, n, &w);
	return r;
}

int sock_users(struct sock_user *v, size_t n)
{
	return sock_users_but(v, n, NULL, 0);
}
