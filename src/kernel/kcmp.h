/*
 * kcmp(2): whether two tasks share a kernel object, as an order that can be sorted by.
 */
#ifndef CKPT_KERNEL_KCMP_H
#define CKPT_KERNEL_KCMP_H

#include <errno.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The answers. The order holds until the next boot. */
enum { KCMP_EQUAL, KCMP_LESS, KCMP_GREATER, KCMP_UNORDERED };

/**
 * kcmp_tasks() - compare an object of two tasks
 * @type:    KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM; KCMP_FILE with
 *           descriptor numbers in @a and @b; KCMP_EPOLL_TFD with a descriptor number in @a and the
 *           address of a struct kcmp_epoll_slot in @b
 * Return: KCMP_*; -ESRCH; -EPERM no ptrace access; -EBADF a descriptor is not open; -ENOENT no such
 *         epoll slot; -ENOSYS kernel without CONFIG_KCMP.
 * Source: kcmp(2), Linux >= 3.5.
 */
static inline int kcmp_tasks(pid_t one, pid_t two, int type, unsigned long a, unsigned long b)
{
	long r = syscall(SYS_kcmp, one, two, type, a, b);

	return r < 0 ? -errno : (int)r;
}

/** kcmp_files() - kcmp_tasks() on two descriptors: KCMP_EQUAL for one open file description */
static inline int kcmp_files(pid_t one, int fd_one, pid_t two, int fd_two)
{
	return kcmp_tasks(one, two, KCMP_FILE, (unsigned long)fd_one, (unsigned long)fd_two);
}

#endif
