/*
 * tcp_inject.h - a segment to a socket of this machine, as if it came from its peer.
 *
 * Repair mode makes connections that are established. What an end has been told besides, that its peer
 * will send no more, that its own end was heard, that a byte is urgent, or that somebody connects, it is told
 * again by a segment like the one that it got then. It goes out through the loopback device and is taken in
 * there: nobody else sees it.
 */
#ifndef CKPT_KERNEL_TCP_INJECT_H
#define CKPT_KERNEL_TCP_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct tcp_key;

struct tcp_segment {
	const struct sockaddr_storage *from, *to; /* of one family */
	uint32_t seq, ack;
	uint16_t window; /* as in the header: scaled down */
	bool fin, rst;
	bool syn; /* nothing is acknowledged */
	bool urg; /* its first byte is urgent */
	const uint8_t *options;
	size_t options_len;        /* a multiple of 4, 40 at most, 20 if it is signed */
	const struct tcp_key *key; /* by which it is signed; NULL: it is not */
	const uint8_t *data;
	size_t len;
};

/* Of data in one segment: what is allocated for it in the kernel, 32 KiB with its headers, is used well. */
#define TCP_INJECT_DATA 32200U
/* Where the loopback device has been made to take less than that. */
#define TCP_INJECT_DATA_SMALL 1200U

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

/**
 * tcp_inject_data() - send data as segments like @s, whose seq is that of the first byte; async-signal-safe
 * @most: in a segment, TCP_INJECT_DATA or less
 * @s: seq becomes that of the byte behind the last; urg ends with the first segment
 * Return: 0; -errno
 */
int tcp_inject_data(int fd, struct tcp_segment *s, const uint8_t *data, size_t len, size_t most);

/** tcp_plain_addr() - an IPv4 address that is written as one of IPv6 becomes one of IPv4, as in packets */
void tcp_plain_addr(struct sockaddr_storage *a);

#endif
