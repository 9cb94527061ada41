/*
 * tcp_inject.h - a segment to a socket of this machine, as if it came from its peer.
 *
 * Repair mode makes connections that are established. What an end has been told besides, that its peer
 * will send no more, or that its own end was heard, it is told again by a segment like the one that
 * it got then. It goes out through the loopback device and is taken in there: nobody else sees it.
 */
#ifndef CKPT_KERNEL_TCP_INJECT_H
#define CKPT_KERNEL_TCP_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct tcp_segment {
	const struct sockaddr_storage *from, *to; /* of one family */
	uint32_t seq, ack;
	uint16_t window; /* as in the header: scaled down */
	bool fin, rst;
};

/**
 * tcp_inject_open() - a socket to send such segments through
 * @family: AF_INET or AF_INET6, that of the packets
 * Return: owned by the caller; -EPERM: it takes CAP_NET_RAW; -errno
 */
int tcp_inject_open(int family);

/**
 * tcp_inject() - send one; it has been taken in on return; async-signal-safe
 * @fd: tcp_inject_open() of its family
 * Return: 0; -errno
 */
int tcp_inject(int fd, const struct tcp_segment *s);

#endif
