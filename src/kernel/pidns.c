/*
 * pidns.c - see pidns.h.
 */
#include "kernel/pidns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kernel/proc.h"
#include "kernel/proc_status.h"
#include "util/cleanup.h"
#include "util/fd.h"

int pidns_own_mounts(const char **ret_call)
{
	*ret_call = "unshare(CLONE_NEWNS)";
	if (unshare(CLONE_FS) < 0 || unshare(CLONE_NEWNS) < 0)
		return -errno;
	*ret_call = "mount(MS_SLAVE)";
	return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -errno : 0;
}

int pidns_mount_proc(void)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	return mount("proc", "/proc", "proc", flags, NULL) < 0 ? -errno : 0;
}

int pidns_next_pid(pid_t pid)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	char text[16];

	if (fd < 0)
		return -errno;
	return write_full(fd, text, (size_t)snprintf(text, sizeof(text), "%d", pid - 1));
}

static int look(pid_t pid, struct stat *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, ret) < 0 ? -errno : 0;
}

/* Whether it is the first of any namespace. */
static bool is_first(pid_t pid)
{
	_cleanup_close_ int fd = proc_open(pid);
	struct proc_status st;
	bool first;

	if (fd < 0 || proc_status_read(fd, 0, &st) < 0)
		return false;
	first = st.ns_tgid.n && st.ns_tgid.v[st.ns_tgid.n - 1] == 1;
	proc_status_done(&st);
	return first;
}

pid_t pidns_init_of(pid_t pid)
{
	_cleanup_close_ int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ int *pids = NULL;
	size_t n = 0;

	if (dir < 0 || proc_numbers(dir, ".", &pids, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (pidns_is_inside(pids[i], pid) && is_first(pids[i]))
			return pids[i];
	return 0;
}

bool pidns_is_inside(pid_t pid, pid_t other)
{
	struct stat a, b;

	return look(pid, &a) == 0 && look(other, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}
