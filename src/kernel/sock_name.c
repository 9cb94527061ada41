/*
 * sock_name.c - see sock_name.h.
 */
#include "kernel/sock_name.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "util/vec.h"

#define ANY (-1)

#ifndef IPPROTO_L2TP
#define IPPROTO_L2TP 115
#endif
#define TYPE_DCCP 6

/* The first that fits. */
static const struct {
	int family, type, protocol;
	const char *name;
} names[] = {
	{AF_UNIX, SOCK_STREAM, ANY, "unix stream"},
	{AF_UNIX, SOCK_DGRAM, ANY, "unix datagram"},
	{AF_UNIX, SOCK_SEQPACKET, ANY, "unix seqpacket"},
	{AF_INET, ANY, IPPROTO_SCTP, "sctp"},
	{AF_INET6, ANY, IPPROTO_SCTP, "sctp6"},
	{AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "mptcp"},
	{AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, "mptcp6"},
	{AF_INET, SOCK_STREAM, IPPROTO_TCP, "tcp"},
	{AF_INET6, SOCK_STREAM, IPPROTO_TCP, "tcp6"},
	{AF_INET, SOCK_STREAM, ANY, "IP stream"},
	{AF_INET6, SOCK_STREAM, ANY, "IPv6 stream"},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDP, "udp"},
	{AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "udp6"},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "udplite"},
	{AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, "udplite6"},
	{AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "ping"},
	{AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, "ping6"},
	{AF_INET, SOCK_DGRAM, IPPROTO_L2TP, "l2tp"},
	{AF_INET, SOCK_RAW, ANY, "raw IP"},
	{AF_INET6, SOCK_RAW, ANY, "raw IPv6"},
	{AF_INET, TYPE_DCCP, ANY, "dccp"},
	{AF_INET6, TYPE_DCCP, ANY, "dccp6"},
	{AF_NETLINK, ANY, NETLINK_ROUTE, "netlink route"},
	{AF_NETLINK, ANY, NETLINK_USERSOCK, "netlink user"},
	{AF_NETLINK, ANY, NETLINK_SOCK_DIAG, "netlink sock_diag"},
	{AF_NETLINK, ANY, NETLINK_NFLOG, "netlink nflog"},
	{AF_NETLINK, ANY, NETLINK_XFRM, "netlink xfrm"},
	{AF_NETLINK, ANY, NETLINK_SELINUX, "netlink selinux"},
	{AF_NETLINK, ANY, NETLINK_AUDIT, "netlink audit"},
	{AF_NETLINK, ANY, NETLINK_FIB_LOOKUP, "netlink fib"},
	{AF_NETLINK, ANY, NETLINK_CONNECTOR, "netlink connector"},
	{AF_NETLINK, ANY, NETLINK_NETFILTER, "netlink netfilter"},
	{AF_NETLINK, ANY, NETLINK_KOBJECT_UEVENT, "netlink uevent"},
	{AF_NETLINK, ANY, NETLINK_GENERIC, "netlink generic"},
	{AF_NETLINK, ANY, NETLINK_CRYPTO, "netlink crypto"},
	{AF_NETLINK, ANY, ANY, "netlink"},
	{AF_PACKET, SOCK_RAW, ANY, "packet"},
	{AF_PACKET, SOCK_DGRAM, ANY, "packet, cooked"},
	{AF_PACKET, ANY, ANY, "packet"},
	{AF_VSOCK, ANY, ANY, "vsock"},
	{AF_ALG, ANY, ANY, "kernel crypto"},
	{AF_KEY, ANY, ANY, "IPsec key"},
	{44 /* AF_XDP */, ANY, ANY, "xdp"},
	{AF_BLUETOOTH, ANY, ANY, "bluetooth"},
	{AF_CAN, ANY, ANY, "can"},
	{AF_TIPC, ANY, ANY, "tipc"},
	{AF_RDS, ANY, ANY, "rds"},
	{43 /* AF_SMC */, ANY, ANY, "smc"},
	{42 /* AF_QIPCRTR */, ANY, ANY, "qrtr"},
	{AF_KCM, ANY, ANY, "kcm"},
	{AF_PPPOX, ANY, ANY, "pppox"},
	{AF_RXRPC, ANY, ANY, "rxrpc"},
	{AF_NFC, ANY, ANY, "nfc"},
};

const char *sock_name(int family, int type, int protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].family == family && (names[i].type == ANY || names[i].type == type) &&
			(names[i].protocol == ANY || names[i].protocol == protocol))
			return names[i].name;
	return "socket";
}
