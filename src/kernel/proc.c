/*
 * Opening /proc/PID and listing its numbered entries: see the header.
 */
#include "kernel/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/proc_stat.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

int proc_open(pid_t pid)
{
	char path[sizeof("/proc/-2147483648")];
	int fd;

	if (pid < 0)
		return -ESRCH;
	if (pid == 0)
		snprintf(path, sizeof(path), "/proc/self");
	else
		snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

static bool is_dead(int procfd, pid_t tid)
{
	struct proc_stat st;

	return proc_stat_read(procfd, tid, &st) < 0 || st.state == 'Z' || st.state == 'X';
}

int proc_open_alive(pid_t pid, pid_t *ret_tid)
{
	_cleanup_close_ int fd = proc_open(pid);
	_cleanup_free_ pid_t *tids = NULL;
	pid_t tid = pid;
	size_t n = 0;

	if (fd < 0)
		return fd;
	if (is_dead(fd, 0) && proc_tasks(fd, &tids, &n) == 0)
		for (size_t i = 0; i < n && tid == pid; i++)
			if (!is_dead(fd, tids[i]))
				tid = tids[i];
	if (tid != pid) {
		int other = proc_open(tid);

		if (other < 0)
			return other;
		fd_close(fd);
		fd = other;
	}
	*ret_tid = tid;
	return TAKE_FD(fd);
}

struct proc_path proc_task_path(pid_t tid, const char *name)
{
	struct proc_path path;

	if (tid > 0)
		snprintf(path.s, sizeof(path.s), "task/%d/%s", tid, name);
	else
		snprintf(path.s, sizeof(path.s), "%s", name);
	return path;
}

static int int_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

#define LIST_BYTES 16384 /* of a directory, read at once */

/* Entries as getdents64(2) gives them. */
static int add_numbers(const char *buf, size_t len, int **v, size_t *n, size_t *cap)
{
	for (size_t at = 0; at < len;) {
		const struct dirent64 *e = (const void *)(buf + at);
		const char *p = e->d_name;
		int number;

		at += e->d_reclen;
		if (str_int(&p, &number) < 0 || *p != '\0')
			continue;
		if (vec_reserve(v, cap, *n + 1, sizeof(**v)) < 0)
			return -ENOMEM;
		(*v)[(*n)++] = number;
	}
	return 0;
}

/* Not by opendir(3), which asks three things more of each directory, and of most there is little to read. */
int proc_numbers(int dirfd, const char *path, int **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buf[LIST_BYTES];
	_cleanup_free_ int *v = NULL;
	size_t n = 0, cap = 0;
	ssize_t len;

	if (fd < 0)
		return -errno;
	while ((len = getdents64(fd, buf, sizeof(buf))) > 0)
		if (add_numbers(buf, (size_t)len, &v, &n, &cap) < 0)
			return -ENOMEM;
	if (len < 0)
		return -errno;
	if (n > 0)
		qsort(v, n, sizeof(*v), int_compare);
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}

int proc_tasks(int procfd, pid_t **ret, size_t *ret_n)
{
	int r = proc_numbers(procfd, "task", ret, ret_n);

	return r == -ENOENT ? -ESRCH : r;
}
