/*
 * sockopt_ipv6.c - the options of IPPROTO_IPV6.
 *
 * Not here: what can be set but not read (IPV6_PKTINFO, which value IPV6_ROUTER_ALERT was given, the bound of
 * IPV6_MTU), what can be read but not set (IPV6_PATHMTU), memberships, and leases of flow labels.
 *
 * Source: ipv6(7), RFC 3542, linux/in6.h up to Linux 6.18.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include "res/socket/sockopt.h"

#define RAW "CAP_NET_RAW"

#define NEW(opt, ...) SOCKOPT_ROW(IPPROTO_IPV6, opt, #opt, SOCKOPT_NEW, __VA_ARGS__)

const struct sockopt sockopts_ipv6[] = {
	/* who is bound to an address of IPv6 has it, which means nothing once it is connected */
	NEW(IPV6_V6ONLY, .unconnected = true),
	NEW(IPV6_2292PKTINFO, ),
	NEW(IPV6_2292HOPLIMIT, ),
	NEW(IPV6_2292RTHDR, ),
	NEW(IPV6_2292HOPOPTS, ),
	NEW(IPV6_2292DSTOPTS, ),
	NEW(IPV6_CHECKSUM, .type = SOCK_RAW),
	NEW(IPV6_HDRINCL, .type = SOCK_RAW),
	NEW(IPV6_FLOWINFO, ),
	NEW(IPV6_FLOWINFO_SEND, ),
	NEW(IPV6_AUTOFLOWLABEL, ),
	NEW(IPV6_UNICAST_HOPS, ),
	NEW(IPV6_MULTICAST_IF, .no_stream = true),
	NEW(IPV6_MULTICAST_HOPS, .no_stream = true),
	NEW(IPV6_MULTICAST_LOOP, ),
	NEW(IPV6_MULTICAST_ALL, ),
	NEW(IPV6_UNICAST_IF, ),
	NEW(IPV6_MTU_DISCOVER, ),
	NEW(IPV6_DONTFRAG, ),
	NEW(IPV6_RECVERR, ),
	NEW(IPV6_RECVERR_RFC4884, ),
	NEW(IPV6_RECVPKTINFO, ),
	NEW(IPV6_RECVHOPLIMIT, ),
	NEW(IPV6_RECVRTHDR, ),
	NEW(IPV6_RECVHOPOPTS, ),
	NEW(IPV6_RECVDSTOPTS, ),
	NEW(IPV6_RECVPATHMTU, ),
	NEW(IPV6_RECVTCLASS, ),
	NEW(IPV6_RECVORIGDSTADDR, ),
	NEW(IPV6_RECVFRAGSIZE, ),
	/* headers of all that is sent */
	NEW(IPV6_HOPOPTS, .needs = RAW),
	NEW(IPV6_RTHDRDSTOPTS, .needs = RAW),
	NEW(IPV6_RTHDR, .needs = RAW),
	NEW(IPV6_DSTOPTS, .needs = RAW),
	NEW(IPV6_TCLASS, ),
	NEW(IPV6_ADDR_PREFERENCES, ),
	NEW(IPV6_MINHOPCOUNT, ),
	NEW(IPV6_TRANSPARENT, .needs = "CAP_NET_ADMIN or CAP_NET_RAW"),
	NEW(IPV6_FREEBIND, ),
	{0},
};
