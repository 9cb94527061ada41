/*
 * sockopt_proto.c - the options of protocols and families: UDP, raw IP, packet, netlink, vsock.
 *
 * Those of TCP are the business of its own kind. What packet and netlink sockets have beside plain options
 * (rings, fanout, memberships, groups) is that of theirs.
 *
 * Source: udp(7), udplite(7), raw(7), packet(7), netlink(7), vsock(7).
 */
/* before linux/vm_sockets.h, which rests on it */
#include <sys/socket.h>

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "res/socket/sockopt.h"

#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11
#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif
#ifndef ICMPV6_FILTER
#define ICMPV6_FILTER 1
#endif

#define UDP(opt, ...)     SOCKOPT_ROW(IPPROTO_UDP, opt, #opt, __VA_ARGS__)
#define RAW(lev, opt)     SOCKOPT_ROW(lev, opt, #opt, SOCKOPT_NEW)
#define PACKET(opt, ...)  SOCKOPT_ROW(SOL_PACKET, opt, #opt, __VA_ARGS__)
#define NETLINK(opt, ...) SOCKOPT_ROW(SOL_NETLINK, opt, #opt, SOCKOPT_LAST, __VA_ARGS__)
#define VSOCK(opt)        SOCKOPT_ROW(AF_VSOCK, opt, #opt, SOCKOPT_NEW)

const struct sockopt sockopts_proto[] = {
	/* what is sent to fill the queue is not to be held back */
	UDP(UDP_CORK, SOCKOPT_LAST),
	UDP(UDPLITE_SEND_CSCOV, SOCKOPT_LAST),
	UDP(UDPLITE_RECV_CSCOV, SOCKOPT_LAST),
	UDP(UDP_ENCAP, SOCKOPT_LAST),
	UDP(UDP_NO_CHECK6_TX, SOCKOPT_NEW),
	UDP(UDP_NO_CHECK6_RX, SOCKOPT_NEW),
	UDP(UDP_SEGMENT, SOCKOPT_LAST),
	UDP(UDP_GRO, SOCKOPT_NEW),
	RAW(SOL_RAW, ICMP_FILTER),
	RAW(IPPROTO_ICMPV6, ICMPV6_FILTER),
	/* the layout of a ring is fixed when it is made */
	PACKET(PACKET_VERSION, SOCKOPT_NEW),
	PACKET(PACKET_RESERVE, SOCKOPT_NEW),
	PACKET(PACKET_LOSS, SOCKOPT_NEW),
	PACKET(PACKET_VNET_HDR, SOCKOPT_NEW),
	PACKET(PACKET_VNET_HDR_SZ, SOCKOPT_NEW, .with = PACKET_VNET_HDR),
	PACKET(PACKET_AUXDATA, SOCKOPT_NEW),
	PACKET(PACKET_ORIGDEV, SOCKOPT_NEW),
	PACKET(PACKET_TIMESTAMP, SOCKOPT_NEW),
	PACKET(PACKET_TX_HAS_OFF, SOCKOPT_NEW),
	PACKET(PACKET_QDISC_BYPASS, SOCKOPT_NEW),
	PACKET(PACKET_IGNORE_OUTGOING, SOCKOPT_NEW),
	NETLINK(NETLINK_PKTINFO, ),
	NETLINK(NETLINK_BROADCAST_ERROR, ),
	NETLINK(NETLINK_NO_ENOBUFS, ),
	NETLINK(NETLINK_LISTEN_ALL_NSID, .needs = "CAP_NET_BROADCAST"),
	NETLINK(NETLINK_CAP_ACK, ),
	NETLINK(NETLINK_EXT_ACK, ),
	NETLINK(NETLINK_GET_STRICT_CHK, ),
	/* a size is between the other two */
	VSOCK(SO_VM_SOCKETS_BUFFER_MIN_SIZE),
	VSOCK(SO_VM_SOCKETS_BUFFER_MAX_SIZE),
	VSOCK(SO_VM_SOCKETS_BUFFER_SIZE),
	VSOCK(SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD),
	{0},
};
