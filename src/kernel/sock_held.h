/*
 * sock_held.h - the datagram that a socket holds back: what was sent with MSG_MORE or under UDP_CORK.
 *
 * The kernel tells how much memory it takes (SIOCOUTQ), and no more. It is read where it lies (kernel/kmem.h),
 * with the address that it will go to; the socket notices nothing.
 */
#ifndef CKPT_KERNEL_SOCK_HELD_H
#define CKPT_KERNEL_SOCK_HELD_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kmem;
struct sock_held_reader;

struct sock_held {
	int family;               /* that of the datagram: AF_INET also of a socket of IPv6 */
	uint8_t to[16], from[16]; /* 4 or 16 bytes; all zero: of a raw socket of IPv4, not known */
	uint16_t port;            /* where it goes, as on the wire; 0: of a raw socket */
	uint32_t label;           /* of its flow, of IPv6, as on the wire */
	int ttl;                  /* or hop limit; 0: that of the socket */
	int tos;                  /* or traffic class; -1: that of the socket */
	uint16_t segment;         /* bytes of UDP_SEGMENT; 0: none */
	char device[IF_NAMESIZE]; /* by which it leaves */
	uint8_t *data;            /* owned */
	size_t len;
};

/**
 * sock_held_open() - get ready to read; once for many sockets
 * @k: borrowed until sock_held_close()
 * @ret: ended by sock_held_close(); untouched on failure
 * Return: 0; -ENOENT this kernel has other structures; -ENOMEM.
 * Source: as kernel/kmem.h; takes CAP_NET_RAW too for what came in several pieces.
 */
int sock_held_open(struct kmem *k, struct sock_held_reader **ret);

void sock_held_close(struct sock_held_reader *h);

/**
 * sock_held_read() - what one socket holds back; nobody may send by it meanwhile
 * @fd: ours, of UDP, UDP-Lite or a raw socket of IP
 * @ino: of it
 * @family: of the socket
 * @raw: it is a raw socket
 * @ret: its data is freed by the caller; untouched unless 1 is returned
 * Return: 1; 0 it holds nothing back; -EOPNOTSUPP it has IP options or extension headers; -EAGAIN what was
 * found makes no sense; -errno.
 */
int sock_held_read(
	struct sock_held_reader *h, int fd, ino_t ino, int family, bool raw, struct sock_held *ret);

#endif
