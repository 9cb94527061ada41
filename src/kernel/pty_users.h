/*
 * Who has a pseudo terminal open. The kernel tells of nobody, so every process is looked at.
 */
#ifndef CKPT_KERNEL_PTY_USERS_H
#define CKPT_KERNEL_PTY_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pty_id {
	dev_t devpts; /* of the file system that has /dev/pts/N */
	uint32_t index;
	pid_t session; /* whose controlling terminal it is (TIOCGSID); 0: nobody's; -1: not known */
};

struct pty_user {
	pid_t pid;
	char comm[64];
	int fd;       /* one of its descriptors; -1: it is its controlling terminal alone */
	size_t which; /* of the terminals that were asked for */
};

struct pty_search {
	const struct pty_id *v;
	size_t n;
	/* whose answer is true is not looked at; NULL: all are */
	bool (*skip)(pid_t pid, void *arg);
	/* Return: 0 to go on; anything else ends the search, and is returned by it */
	int (*found)(const struct pty_user *user, void *arg);
	void *arg;
};

/**
 * pty_users() - the processes that have a slave open, or as their controlling terminal, or its master
 * A process is found once for each terminal. Some microseconds for every descriptor of the machine;
 * other users' are only seen with privilege.
 * Return: 0; of found(); -errno.
 * Source: proc(5) fd, fdinfo (tty-index, Linux >= 4.14), stat (tty_nr).
 */
int pty_users(const struct pty_search *s);

#endif
