/*
 * tcp_hasten.h - the peer of a connection that was locked sends again at once.
 *
 * What a peer has sent meanwhile is lost. It sends it again when its timer says so, and has doubled that
 * time with every attempt: away for ten seconds, silent for twenty. A host that can't be reached is
 * a reason not to double it (RFC 6069): Linux then takes back one doubling for each such message that
 * quotes the first byte which is not acknowledged, and sends at once if the time is over by that. For a
 * program such a message is no error of its connection (RFC 1122 4.2.3.9), unless it has asked for
 * all of them (IP_RECVERR).
 *
 * Source: net/ipv4/tcp_ipv4.c tcp_ld_RTO_revert() since Linux 2.6.32; for IPv6, where the message has to
 * be "no route", since Linux 5.9.
 */
#ifndef CKPT_KERNEL_TCP_HASTEN_H
#define CKPT_KERNEL_TCP_HASTEN_H

#include <stdint.h>
#include <sys/socket.h>

/* The sockets that such messages are sent through, made when they are needed; -EBADF before. */
struct tcp_hasten {
	int four, six;
};

/**
 * tcp_hasten() - tell a peer once that what it has sent did not arrive
 * @h:     both -EBADF at first; the caller closes them
 * @local: our end of the connection
 * @peer:  the end of whoever is told
 * @seq:   of the first byte of it that we have not acknowledged
 * Return: 0; -EPERM: it takes CAP_NET_RAW; -errno. Whether the peer makes use of it can't be known.
 */
int tcp_hasten(struct tcp_hasten *h, const struct sockaddr_storage *local,
	const struct sockaddr_storage *peer, uint32_t seq);

/**
 * tcp_hasten_times() - how many messages take all doublings back
 * @away_ns: how long packets were lost
 */
unsigned int tcp_hasten_times(uint64_t away_ns);

#endif
