/*
 * sock_diag.h - what the kernel tells of all sockets of our network namespace, by inode.
 *
 * A family is asked for once, and whole: a question about one inode walks over the same tables. What
 * a descriptor of the socket tells as well (getsockopt, getpeername) is better asked there; here is
 * what it does not tell: who the peer is, who waits to be accepted, what has no descriptor any more.
 */
#ifndef CKPT_KERNEL_SOCK_DIAG_H
#define CKPT_KERNEL_SOCK_DIAG_H

#include <stddef.h>
#include <stdint.h>

/* One socket. What it points to lives as long as the table. */
struct sock_diag_row {
	uint32_t ino; /* 0: it belongs to no file (any more, or not yet) */
	uint8_t family;
	uint8_t protocol; /* as it was asked for: IPPROTO_*, 0 where the family has none */
	const void *msg;  /* struct unix_diag_msg, inet_diag_msg, netlink_diag_msg, ... */
	size_t len;       /* of it with its attributes */
};

struct sock_diag {
	struct sock_diag_row *rows;
	size_t n, cap;
	void **blocks; /* what the rows point into */
	size_t n_blocks, cap_blocks;
	uint16_t *asked; /* family << 8 | protocol */
	size_t n_asked, cap_asked;
	uint32_t *slots; /* hash by inode: index + 1 into rows, 0: free */
	size_t n_slots;
};

/**
 * sock_diag_read() - add all sockets of a family; nothing is done where they have been read before
 * @t: all zero at first; ended by sock_diag_done(), also after a failure
 * @protocol: of AF_INET and AF_INET6: IPPROTO_*; of AF_NETLINK: 0, all; of others: 0
 * Return: 0; -EOPNOTSUPP this kernel does not tell of that family (a module may be missing); -ENOMEM;
 * -EPERM; -EIO.
 * Source: sock_diag(7), Linux >= 3.3.
 */
int sock_diag_read(struct sock_diag *t, int family, int protocol);

/** sock_diag_find() - a socket by its inode, as fstat(2) tells it. Return: NULL: none such was read */
const struct sock_diag_row *sock_diag_find(const struct sock_diag *t, uint64_t ino);

/**
 * sock_diag_attr() - an attribute of a socket
 * @type: UNIX_DIAG_*, INET_DIAG_*, ...
 * @ret_len: its bytes; may be NULL
 * Return: NULL: it has none such.
 */
const void *sock_diag_attr(const struct sock_diag_row *row, int type, size_t *ret_len);

/** sock_diag_done() - free what the table owns; it is all zero then */
void sock_diag_done(struct sock_diag *t);

#endif
