/*
 * sock.h - sockets as they describe themselves, through any descriptor of them.
 */
#ifndef CKPT_KERNEL_SOCK_H
#define CKPT_KERNEL_SOCK_H

#include <stdbool.h>
#include <stdint.h>

/* What a socket is. */
struct sock_look {
	int family;   /* AF_* */
	int type;     /* SOCK_*, without flags */
	int protocol; /* as socket(2) was or could have been called with */
	bool listening;
	uint64_t netns; /* cookie of its network namespace; 0: not known */
};

/**
 * sock_look_at() - ask a socket what it is
 * @fd: any descriptor of it, not O_PATH
 * Return: 0; -ENOTSOCK; -errno.
 * Source: socket(7); SO_NETNS_COOKIE since Linux 5.14.
 */
int sock_look_at(int fd, struct sock_look *ret);

/** sock_own_netns() - the cookie of our own network namespace; 0: not known (before Linux 5.14) */
uint64_t sock_own_netns(void);

#endif
