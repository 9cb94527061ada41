/*
 * pidfds: a reference to a process that cannot come to mean another one, and the way to its file
 * descriptors without its help.
 */
#ifndef CKPT_KERNEL_PIDFD_H
#define CKPT_KERNEL_PIDFD_H

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "kernel/syscalls.h"

/**
 * pidfd_of() - open a process
 * @pid:  thread group leader
 * Return: a close-on-exec descriptor, owned by the caller; -ESRCH; -EINVAL not a leader; -errno.
 * Source: pidfd_open(2), Linux >= 5.3.
 */
static inline int pidfd_of(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

/**
 * pidfd_of_thread() - the same for a thread that is no leader
 * Return: as pidfd_of(); -EINVAL before Linux 6.9.
 */
static inline int pidfd_of_thread(pid_t tid)
{
	long fd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

	return fd < 0 ? -errno : (int)fd;
}

/**
 * pidfd_take() - a duplicate of another process's descriptor
 * @pidfd:   of the process; not consumed
 * @target:  descriptor number there
 * The duplicate shares the open file description: its position, flags and locks are the other's.
 * Return: a close-on-exec descriptor, owned by the caller; -EBADF not open there; -EPERM no ptrace
 *         access; -ESRCH the process has died; -errno.
 * Source: pidfd_getfd(2), Linux >= 5.6.
 */
static inline int pidfd_take(int pidfd, int target)
{
	long fd = syscall(SYS_pidfd_getfd, pidfd, target, 0);

	return fd < 0 ? -errno : (int)fd;
}

/**
 * pidfd_signal() - send a signal
 * @info:  NULL as for kill(2), else as for rt_sigqueueinfo(2)
 * Return: 0; -ESRCH the process is gone; -EPERM; -EINVAL.
 * Source: pidfd_send_signal(2), Linux >= 5.1.
 */
static inline int pidfd_signal(int pidfd, int sig, const siginfo_t *info)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, info, 0) < 0 ? -errno : 0;
}

/**
 * pidfd_free_memory() - help a process that is being killed to free its memory
 * It frees on one CPU; this does the same from the caller's, side by side with it. Nothing depends
 * on it: what is not freed here the process frees as it ends.
 * Return: 0; -EINVAL the process is not dying, or shares its memory with one that is not;
 *         -ESRCH its memory is gone; -EAGAIN; -ENOSYS before Linux 5.15.
 * Source: process_mrelease(2), Linux >= 5.15.
 */
static inline int pidfd_free_memory(int pidfd)
{
	return syscall(SYS_process_mrelease, pidfd, 0) < 0 ? -errno : 0;
}

/**
 * pidfd_exit_status() - how a process has ended, whoever its parent is
 * @ret: as of wait(2); untouched on failure
 * Return: 0; -EAGAIN it has not been waited for; -ENOTTY, -EINVAL before Linux 6.15; -errno.
 * Source: ioctl PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux fs/pidfs.c.
 */
static inline int pidfd_exit_status(int pidfd, int *ret)
{
	struct pidfd_info_ckpt info = {.mask = PIDFD_INFO_EXIT};

	if (ioctl(pidfd, PIDFD_GET_INFO, &info) < 0)
		return -errno;
	if (!(info.mask & PIDFD_INFO_EXIT))
		return -EAGAIN;
	*ret = info.exit_code;
	return 0;
}

#endif
