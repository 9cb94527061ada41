/*
 * e2e: args: socket ip ipv6 udp udplite raw packet netlink unix
 *
 * Holds: sockets with each of the options that socket(7), ip(7), ipv6(7), udp(7), raw(7), packet(7) and
 *        netlink(7) name, at a value that a new socket has not, each option in a socket of its own and all that go
 *        together in one.
 * Shows: "socket options of SOL_SOCKET, IP, IPv6 all round-tripped by a table".
 */
#include "sockopt.h"
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in6.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>
#include <linux/udp.h>

static const struct opt ip_opts[] = {
	INT(IPPROTO_IP, IP_TOS, 0x10), INT(IPPROTO_IP, IP_TTL, 33), INT(IPPROTO_IP, IP_RECVOPTS, 1),
	INT(IPPROTO_IP, IP_RETOPTS, 1), INT(IPPROTO_IP, IP_PKTINFO, 1),
	INT(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE), INT(IPPROTO_IP, IP_RECVERR, 1),
	INT(IPPROTO_IP, IP_RECVTTL, 1), INT(IPPROTO_IP, IP_RECVTOS, 1),
	INT(IPPROTO_IP, IP_RECVORIGDSTADDR, 1), INT(IPPROTO_IP, 25 /* IP_RECVFRAGSIZE */, 1),
	INT(IPPROTO_IP, 23 /* IP_CHECKSUM */, 1), INT(IPPROTO_IP, IP_PASSSEC, 1),
	INT(IPPROTO_IP, IP_MINTTL, 12), INT(IPPROTO_IP, IP_FREEBIND, 1),
	INT(IPPROTO_IP, IP_TRANSPARENT, 1), INT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
	INT(IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, (int)(50000U << 16 | 40000)),
	INT(IPPROTO_IP, IP_MULTICAST_TTL, 9), TOLD(IPPROTO_IP, IP_MULTICAST_LOOP, 0, -1),
	TOLD(IPPROTO_IP, IP_MULTICAST_ALL, 0, -1), INT(IPPROTO_IP, 26 /* IP_RECVERR_RFC4884 */, 1),
	ANY(IPPROTO_IP, IP_MULTICAST_IF, struct in_addr, {0x0100007f}),
	ANY(IPPROTO_IP, IP_OPTIONS, struct bytes8, {{7, 7, 4}}),
	ANY(IPPROTO_IP, IP_UNICAST_IF, struct in_addr, {0x01000000}), /* interface 1 */
};

static const struct opt ipv6_opts[] = {
	INT(IPPROTO_IPV6, IPV6_V6ONLY, 1),
	INT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44),
	INT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 4),
	TOLD(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, -1),
	TOLD(IPPROTO_IPV6, 29 /* IPV6_MULTICAST_ALL */, 0, -1),
	INT(IPPROTO_IPV6, IPV6_MULTICAST_IF, 1),
	INT(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2),
	INT(IPPROTO_IPV6, IPV6_DONTFRAG, 1),
	INT(IPPROTO_IPV6, IPV6_RECVERR, 1),
	INT(IPPROTO_IPV6, 31 /* IPV6_RECVERR_RFC4884 */, 1),
	INT(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1),
	INT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1),
	INT(IPPROTO_IPV6, IPV6_RECVRTHDR, 1),
	INT(IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_RECVPATHMTU, 1),
	INT(IPPROTO_IPV6, IPV6_RECVTCLASS, 1),
	INT(IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */, 1),
	INT(IPPROTO_IPV6, 77 /* IPV6_RECVFRAGSIZE */, 1),
	INT(IPPROTO_IPV6, IPV6_TCLASS, 0x20),
	INT(IPPROTO_IPV6, IPV6_2292PKTINFO, 1),
	INT(IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1),
	INT(IPPROTO_IPV6, IPV6_2292RTHDR, 1),
	INT(IPPROTO_IPV6, IPV6_2292HOPOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_2292DSTOPTS, 1),
	INT(IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */, 1),
	INT(IPPROTO_IPV6, 33 /* IPV6_FLOWINFO_SEND */, 1),
	TOLD(IPPROTO_IPV6, 70 /* IPV6_AUTOFLOWLABEL */, 0, -1),
	INT(IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */, 3),
	INT(IPPROTO_IPV6, 75 /* IPV6_TRANSPARENT */, 1),
	INT(IPPROTO_IPV6, 78 /* IPV6_FREEBIND */, 1),
	TOLD(IPPROTO_IPV6, 72 /* IPV6_ADDR_PREFERENCES */, 1, 0x401),
	ANY(IPPROTO_IPV6, 76 /* IPV6_UNICAST_IF */, struct in_addr, {0x01000000}),
	ANY(IPPROTO_IPV6, IPV6_HOPOPTS, struct bytes8, {{0, 0, 1, 4}}),
	ANY(IPPROTO_IPV6, IPV6_DSTOPTS, struct bytes8, {{0, 0, 1, 4}}),
	ANY(IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, struct bytes8, {{0, 0, 1, 4}}),
};

static const struct opt udp_opts[] = {
	INT(IPPROTO_UDP, UDP_CORK, 1),
	INT(IPPROTO_UDP, UDP_ENCAP, 2),
	INT(IPPROTO_UDP, UDP_NO_CHECK6_TX, 1),
	INT(IPPROTO_UDP, UDP_NO_CHECK6_RX, 1),
	INT(IPPROTO_UDP, 103 /* UDP_SEGMENT */, 1000),
	INT(IPPROTO_UDP, 104 /* UDP_GRO */, 1),
};

static const struct opt udplite_opts[] = {
	INT(IPPROTO_UDP, 10 /* UDPLITE_SEND_CSCOV */, 20),
	INT(IPPROTO_UDP, 11 /* UDPLITE_RECV_CSCOV */, 12),
};

static const struct opt raw_opts[] = {
	INT(IPPROTO_IP, IP_HDRINCL, 1),
	INT(IPPROTO_IP, IP_NODEFRAG, 1),
	INT(SOL_RAW, 1 /* ICMP_FILTER */, 0x55),
};

static const struct opt packet_opts[] = {
	INT(SOL_PACKET, PACKET_VERSION, TPACKET_V3),
	INT(SOL_PACKET, PACKET_RESERVE, 64),
	INT(SOL_PACKET, PACKET_LOSS, 1),
	INT(SOL_PACKET, PACKET_COPY_THRESH, 100),
	INT(SOL_PACKET, PACKET_AUXDATA, 1),
	INT(SOL_PACKET, PACKET_ORIGDEV, 1),
	INT(SOL_PACKET, PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE),
	INT(SOL_PACKET, PACKET_TX_HAS_OFF, 1),
	INT(SOL_PACKET, PACKET_QDISC_BYPASS, 1),
	INT(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1),
	INT(SOL_PACKET, PACKET_VNET_HDR, 1),
};

static const struct opt netlink_opts[] = {
	INT(SOL_NETLINK, NETLINK_PKTINFO, 1),
	INT(SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1),
	INT(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1),
	INT(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1),
	INT(SOL_NETLINK, NETLINK_CAP_ACK, 1),
	INT(SOL_NETLINK, NETLINK_EXT_ACK, 1),
	INT(SOL_NETLINK, 12 /* NETLINK_GET_STRICT_CHK */, 1),
};

static const struct opt unix_opts[] = {
	INT(SOL_SOCKET, SO_PASSCRED, 1),
	INT(SOL_SOCKET, 76 /* SO_PASSPIDFD */, 1),
	TOLD(SOL_SOCKET, 83 /* SO_PASSRIGHTS */, 0, -1),
};

static void socket_level(void)
{
	CHECK(hold_each(sock_opts, COUNT(sock_opts), AF_INET, SOCK_DGRAM, 0) > 20, "too few");
	hold_all(sock_opts, COUNT(sock_opts), AF_INET, SOCK_DGRAM, 0);
	if (inet_has_v6())
		hold_all(sock_opts, COUNT(sock_opts), AF_INET6, SOCK_DGRAM, 0);
	wait_and_look();
}

static void ip_level(void)
{
	CHECK(hold_each(ip_opts, COUNT(ip_opts), AF_INET, SOCK_DGRAM, 0) > 20, "too few");
	hold_all(ip_opts, COUNT(ip_opts), AF_INET, SOCK_DGRAM, 0);
	if (inet_has_v6())
		hold_each(ip_opts, COUNT(ip_opts), AF_INET6, SOCK_DGRAM, 0);
	wait_and_look();
}

static void ipv6_level(void)
{
	if (!inet_has_v6())
		SKIP("no IPv6");
	CHECK(hold_each(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_DGRAM, 0) > 25, "too few");
	hold_all(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_DGRAM, 0);
	hold_each(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_RAW, IPPROTO_UDP);
	wait_and_look();
}

static void udp_level(void)
{
	CHECK(hold_each(udp_opts, COUNT(udp_opts), AF_INET, SOCK_DGRAM, 0) > 3, "too few");
	if (inet_has_v6())
		hold_each(udp_opts, COUNT(udp_opts), AF_INET6, SOCK_DGRAM, 0);
	wait_and_look();
}

static void udplite_level(void)
{
	if (!hold_each(udplite_opts, COUNT(udplite_opts), AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE))
		SKIP("no UDP-Lite");
	hold_all(udplite_opts, COUNT(udplite_opts), AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE);
	wait_and_look();
}

static void raw_level(void)
{
	struct icmp6_filter f6;
	struct opt o = {"ICMPV6_FILTER", IPPROTO_ICMPV6, 1, sizeof(f6), &f6, 0, 0};

	CHECK(hold_each(raw_opts, COUNT(raw_opts), AF_INET, SOCK_RAW, IPPROTO_ICMP) == 3,
		"too few");
	hold_each(ip_opts, COUNT(ip_opts), AF_INET, SOCK_RAW, IPPROTO_UDP);
	memset(&f6, 0xa5, sizeof(f6));
	if (inet_has_v6())
		CHECK(hold_each(&o, 1, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) == 1,
			"no ICMPV6_FILTER");
	wait_and_look();
}

static void packet_level(void)
{
	CHECK(hold_each(packet_opts, COUNT(packet_opts), AF_PACKET, SOCK_RAW, 0) > 8, "too few");
	hold_all(packet_opts, COUNT(packet_opts), AF_PACKET, SOCK_DGRAM, 0);
	hold_all(sock_opts, COUNT(sock_opts) - 1, AF_PACKET, SOCK_RAW, 0);
	wait_and_look();
}

static void netlink_level(void)
{
	CHECK(hold_each(netlink_opts, COUNT(netlink_opts), AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) > 5,
		"too few");
	hold_all(netlink_opts, COUNT(netlink_opts), AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC);
	wait_and_look();
}

/* But those that decide about addresses, and the last, which is for who can be bound to a device. */
static void unix_level(void)
{
	hold_each(unix_opts, COUNT(unix_opts), AF_UNIX, SOCK_DGRAM, 0);
	hold_all(unix_opts, COUNT(unix_opts), AF_UNIX, SOCK_STREAM, 0);
	CHECK(n_held >= 2, "too few");
	hold_all(sock_opts, COUNT(sock_opts) - 1, AF_UNIX, SOCK_SEQPACKET, 0);
	wait_and_look();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"socket", socket_level},
		{"ip", ip_level},
		{"ipv6", ipv6_level},
		{"udp", udp_level},
		{"udplite", udplite_level},
		{"raw", raw_level},
		{"packet", packet_level},
		{"netlink", netlink_level},
		{"unix", unix_level},
	};

	return victim_cases(argc, argv, cases, COUNT(cases));
}
