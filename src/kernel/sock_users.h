/*
 * sock_users.h - who has a socket open. The kernel tells of nobody, so every process is looked at.
 */
#ifndef CKPT_KERNEL_SOCK_USERS_H
#define CKPT_KERNEL_SOCK_USERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sock_user {
	uint64_t ino; /* of the socket that is looked for */
	pid_t pid;    /* the first process that is found to have it; 0: none is seen */
	char comm[64];
	int fd;
};

/**
 * sock_users() - find who has each of some sockets
 * @v: with ino; the rest is filled
 * Some microseconds for every descriptor of the machine; other users' are only seen with privilege.
 * Return: 0, whoever was found; -errno.
 * Source: proc(5) fd.
 */
int sock_users(struct sock_user *v, size_t n);

/** sock_users_but() - the same, but nobody of some processes is looked at. @pids: ascending */
int sock_users_but(struct sock_user *v, size_t n, const pid_t *pids, size_t n_pids);

/** sock_users_of() - the same in one process. Return: how many more it has. */
size_t sock_users_of(pid_t pid, struct sock_user *v, size_t n);

#endif
