/*
 * netlock.h - connections of which no packet gets in or out: the lock on a TCP connection whose
 * program is gone, so that the kernel does not answer the peer for it.
 *
 * A lock is a table of nftables of our own (family inet), with a set of connections and two chains, in the
 * hooks where addresses are those that sockets have: behind what the input rewrites, before what the
 * output does. A table that has an owner goes with the socket through which it was made, also when
 * that is closed by the death of its process (Linux >= 5.12).
 */
#ifndef CKPT_KERNEL_NETLOCK_H
#define CKPT_KERNEL_NETLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETLOCK_NAME_LEN    64
#define NETLOCK_COMMENT_MAX 200 /* bytes of a comment that fit */

/*
 * A connection, as packets have it. Without a peer (port 0) a socket that listens: packets that begin
 * a connection with it are lost, or all to and from its port; an address of zeros is any.
 */
struct netlock_conn {
	int family; /* AF_INET or AF_INET6; AF_INET also where an AF_INET6 socket speaks IPv4 */
	uint8_t local[16], peer[16];
	uint16_t local_port, peer_port; /* network order */
	bool whole;                     /* of a socket that listens: all packets */
};

/*
 * SO_MARK of what we send to a socket in place of its peer, whose end may be locked as well: no lock
 * concerns it. "ckpt".
 */
#define NETLOCK_PASS_MARK 0x636b7074

struct netlock_table {
	const char *name;    /* below NETLOCK_NAME_LEN */
	const char *comment; /* shown by `nft list`, found by netlock_list(); NULL: none */
	bool owned;          /* it goes with the socket */
};

struct nft_batch;

/**
 * netlock_build() - the transaction that locks connections, for nft_send(), which may happen apart
 * @b: not begun yet; ended by nft_done()
 * @instead: a table that goes in the same moment; NULL: none
 */
void netlock_build(struct nft_batch *b, const struct netlock_table *t, const struct netlock_conn *v,
	size_t n, const char *instead);

/**
 * netlock_put() - lock connections, in one transaction
 * @fd: nft_open()
 * Return: 0; -EOPNOTSUPP: no owners before Linux 5.12; -EPERM; -EEXIST: there is one of that name;
 * -errno
 */
int netlock_put(int fd, const struct netlock_table *t, const struct netlock_conn *v, size_t n);

/** netlock_build_removal() - the transaction that takes a lock away, as of netlock_build() */
void netlock_build_removal(struct nft_batch *b, const char *name);

/** netlock_remove() - Return: 0; -ENOENT there is none of that name; -errno */
int netlock_remove(int fd, const char *name);

/**
 * netlock_list() - look at all locks
 * @prefix: of the names
 * @comment: NULL: it has none
 * Return: 0; -errno
 */
int netlock_list(int fd, const char *prefix,
	void (*fn)(const char *name, bool owned, const char *comment, void *arg), void *arg);

#endif
