/*
 * Who has a pseudo terminal open. The kernel tells of nobody, so every process is looked at.
 */
#ifndef CKPT_KERNEL_PTY_USERS_H
#define CKPT_KERNEL_PTY_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pty_user {
	pid_t pid;
	char comm[64];
	int fd; /* one of its descriptors; -1: it is its controlling terminal alone */
};

/**
 * pty_user_find() - a process that has a slave open, or as its controlling terminal, or its master
 * @devpts: device number of the file system that has /dev/pts/N
 * @index:  N
 * @skip:   whose answer for a process is true: it is not looked at; NULL: all are
 * Reads every process's descriptors: some microseconds each, and other users' only with privilege.
 * Return: 1 and @ret; 0 nobody that is seen; -errno.
 * Source: proc(5) fd, fdinfo (tty-index, Linux >= 4.14), stat (tty_nr).
 */
int pty_user_find(dev_t devpts, uint32_t index, bool (*skip)(pid_t pid, void *arg), void *arg,
	struct pty_user *ret);

#endif
