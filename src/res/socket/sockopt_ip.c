/*
 * sockopt_ip.c - the options of IPPROTO_IP, which sockets of IPv6 have too.
 *
 * Not here: what can be set but not read (IP_ROUTER_ALERT, IP_XFRM_POLICY, the interface that IP_MULTICAST_IF
 * was given by its number), what can be read but not set (IP_MTU, IP_PROTOCOL), and memberships.
 *
 * Source: ip(7), linux/in.h up to Linux 6.18.
 */
#include <linux/in.h>
#include <stdbool.h>

#include "res/socket/sockopt.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

#define NEW(opt, ...) SOCKOPT_ROW(IPPROTO_IP, opt, #opt, SOCKOPT_NEW, __VA_ARGS__)

const struct sockopt sockopts_ip[] = {
	NEW(IP_TOS, ),
	NEW(IP_TTL, ),
	NEW(IP_HDRINCL, .type = SOCK_RAW),
	NEW(IP_NODEFRAG, .type = SOCK_RAW),
	/* some of them take CAP_NET_RAW */
	NEW(IP_OPTIONS, .needs = "CAP_NET_RAW"),
	NEW(IP_RECVOPTS, ),
	NEW(IP_RETOPTS, ),
	NEW(IP_PKTINFO, ),
	NEW(IP_MTU_DISCOVER, ),
	NEW(IP_RECVERR, ),
	NEW(IP_RECVERR_RFC4884, ),
	NEW(IP_RECVTTL, ),
	NEW(IP_RECVTOS, ),
	NEW(IP_RECVORIGDSTADDR, ),
	NEW(IP_RECVFRAGSIZE, .no_stream = true),
	NEW(IP_CHECKSUM, ),
	NEW(IP_PASSSEC, ),
	NEW(IP_MINTTL, ),
	NEW(IP_FREEBIND, ),
	NEW(IP_TRANSPARENT, .needs = "CAP_NET_ADMIN or CAP_NET_RAW"),
	NEW(IP_BIND_ADDRESS_NO_PORT, ),
	NEW(IP_LOCAL_PORT_RANGE, ),
	/* of TCP they are what came with the connection */
	NEW(IP_MULTICAST_IF, .no_stream = true),
	NEW(IP_MULTICAST_TTL, .no_stream = true),
	NEW(IP_MULTICAST_LOOP, ),
	NEW(IP_MULTICAST_ALL, ),
	NEW(IP_UNICAST_IF, ),
	{0},
};
