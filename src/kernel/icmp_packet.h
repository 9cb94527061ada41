/*
 * icmp_packet.h - a message of ICMP or ICMPv6 that tells a socket of this machine of an error.
 *
 * There is no call that puts an error into a socket; a message about it has to arrive, which quotes what the socket
 * has sent. It is sent as a datagram is (kernel/udp_packet.h), and may seem to come from anybody.
 */
#ifndef CKPT_KERNEL_ICMP_PACKET_H
#define CKPT_KERNEL_ICMP_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ICMP_PACKET_MADE_MAX 128

/**
 * icmp_packet_family() - of a whole message, from the header of IP on
 * Return: AF_INET; AF_INET6; -EINVAL it is no message about an error, or it has extension headers.
 */
int icmp_packet_family(const uint8_t *packet, size_t len);

/**
 * icmp_packet_send() - have a message arrive
 * @raw: of udp_packet_socket() for its family
 * @packet: its checksums are written anew
 * Return: 0, which does not say that a socket took it; -EINVAL; -ENETUNREACH it went to an address that is not one of
 * this machine, or is of one link; -errno.
 */
int icmp_packet_send(int raw, uint8_t *packet, size_t len);

/**
 * icmp_packet_make() - a message that leads to an errno, about something short that a socket has sent
 * @error: positive
 * @protocol: of the socket: IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, IPPROTO_ICMPV6
 * @from: of the socket, AF_INET or AF_INET6, no IPv4 in IPv6
 * @to: of the same family
 * @ret: room for ICMP_PACKET_MADE_MAX bytes
 * Return: its length; 0: no message leads to that.
 */
size_t icmp_packet_make(int error, int protocol, const struct sockaddr *from,
	const struct sockaddr *to, uint8_t *ret);

#endif
