/*
 * udp_packet.h - a datagram that seems to come from anybody, to a socket of this machine.
 *
 * There is no call that puts a datagram into the queue of a UDP socket; one has to arrive. A raw socket
 * that gives the IP header itself (raw(7), IP_HDRINCL) may name any sender, and a packet to an address of
 * this machine keeps the route by which it was sent: neither reverse path filters nor the rule against
 * senders from elsewhere are asked, and it never leaves the machine.
 */
#ifndef CKPT_KERNEL_UDP_PACKET_H
#define CKPT_KERNEL_UDP_PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct udp_packet {
	int protocol;                /* IPPROTO_UDP or IPPROTO_UDPLITE */
	const struct sockaddr *from; /* AF_INET or AF_INET6, no IPv4 in IPv6 */
	const struct sockaddr *to;   /* of the same family; udp_packet_local() */
	uint8_t ttl, tos;
	const void *data;
	size_t len;
};

/**
 * udp_packet_socket() - what udp_packet_send() sends by
 * Return: a close-on-exec descriptor, owned by the caller; -EPERM without CAP_NET_RAW; -errno.
 */
int udp_packet_socket(int family);

/** udp_packet_local() - whether an address is one of this machine; any other must not be sent to */
bool udp_packet_local(const struct sockaddr *to);

/**
 * udp_packet_send() - have a datagram arrive
 * @raw: of udp_packet_socket() for the family
 * Return: 0, which does not say that a socket took it; -EMSGSIZE; -errno.
 * Source: raw(7); IPv6 Linux >= 4.15.
 */
int udp_packet_send(int raw, const struct udp_packet *p);

#endif
