/*
 * tcp_hasten.c - see tcp_hasten.h.
 *
 * Source: icmp(7), raw(7), RFC 792, RFC 4443. The kernel fills in the checksum of ICMPv6 only.
 */
#include "kernel/tcp_hasten.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <string.h>

#include "util/cleanup.h"

#define HOPS 64
/* TCP_RTO_MIN of Linux, and how often it doubles at most until it gives a connection up */
#define RTO_NS    200000000ULL
#define DOUBLINGS 15

/* Of a TCP header what such a message quotes. */
struct quoted {
	in_port_t from, to;
	uint32_t seq;
};

static int open_for(int family)
{
	_cleanup_close_ int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		family == AF_INET6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);
	struct icmp6_filter none;
	uint32_t mask = UINT32_MAX;
	int r;

	if (fd < 0)
		return -errno;
	ICMP6_FILTER_SETBLOCKALL(&none);
	r = family == AF_INET6 ? setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &none, sizeof(none))
			       : setsockopt(fd, SOL_RAW, 1 /* ICMP_FILTER */, &mask, sizeof(mask));
	return r < 0 ? -errno : TAKE_FD(fd);
}

static uint16_t checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static int send_to(int fd, const void *p, size_t len, const void *to, socklen_t to_len)
{
	return sendto(fd, p, len, MSG_DONTWAIT, to, to_len) < 0 ? -errno : 0;
}

static int hasten4(
	int fd, const struct sockaddr_in *local, const struct sockaddr_in *peer, uint32_t seq)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = peer->sin_addr};
	struct {
		struct icmphdr icmp;
		struct ip ip;
		struct quoted tcp;
	} p = {.icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH},
		.ip = {.ip_v = 4,
			.ip_hl = sizeof(p.ip) / 4,
			.ip_len = htons(sizeof(p.ip) + 20),
			.ip_off = htons(IP_DF),
			.ip_ttl = HOPS,
			.ip_p = IPPROTO_TCP,
			.ip_src = peer->sin_addr,
			.ip_dst = local->sin_addr},
		.tcp = {.from = peer->sin_port, .to = local->sin_port, .seq = htonl(seq)}};

	p.ip.ip_sum = checksum(&p.ip, sizeof(p.ip));
	p.icmp.checksum = checksum(&p, sizeof(p));
	return send_to(fd, &p, sizeof(p), &to, sizeof(to));
}

static int hasten6(
	int fd, const struct sockaddr_in6 *local, const struct sockaddr_in6 *peer, uint32_t seq)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6,
		.sin6_addr = peer->sin6_addr,
		.sin6_scope_id = peer->sin6_scope_id};
	struct {
		struct icmp6_hdr icmp;
		struct ip6_hdr ip;
		struct quoted tcp;
	} p = {.icmp = {.icmp6_type = ICMP6_DST_UNREACH, .icmp6_code = ICMP6_DST_UNREACH_NOROUTE},
		.ip = {.ip6_src = peer->sin6_addr, .ip6_dst = local->sin6_addr},
		.tcp = {.from = peer->sin6_port, .to = local->sin6_port, .seq = htonl(seq)}};

	p.ip.ip6_vfc = 6 << 4;
	p.ip.ip6_plen = htons(20);
	p.ip.ip6_nxt = IPPROTO_TCP;
	p.ip.ip6_hlim = HOPS;
	return send_to(fd, &p, sizeof(p), &to, sizeof(to));
}

/* What an AF_INET6 socket that speaks IPv4 has in its packets. */
static struct sockaddr_in plain(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *six = (const void *)a;
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};

	memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12], sizeof(four.sin_addr));
	return a->ss_family == AF_INET ? *(const struct sockaddr_in *)(const void *)a : four;
}

int tcp_hasten(struct tcp_hasten *h, const struct sockaddr_storage *local,
	const struct sockaddr_storage *peer, uint32_t seq)
{
	bool six = peer->ss_family == AF_INET6 &&
		   !IN6_IS_ADDR_V4MAPPED(
			   &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr);
	int *fd = six ? &h->six : &h->four;
	struct sockaddr_in from, to;

	if (local->ss_family != peer->ss_family)
		return -EINVAL;
	if (*fd < 0)
		*fd = open_for(six ? AF_INET6 : AF_INET);
	if (*fd < 0)
		return *fd;
	if (six)
		return hasten6(*fd, (const void *)local, (const void *)peer, seq);
	from = plain(local);
	to = plain(peer);
	return hasten4(*fd, &from, &to, seq);
}

/* After n attempts, at intervals of 1, 2, 4... times RTO_NS, 2^n - 1 of them have gone. */
unsigned int tcp_hasten_times(uint64_t away_ns)
{
	unsigned int n = 0;

	while (n < DOUBLINGS && away_ns / RTO_NS >= (1ULL << (n + 1)) - 1)
		n++;
	return n;
}
