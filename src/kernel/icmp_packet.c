/*
 * icmp_packet.c - see icmp_packet.h.
 */
#include "kernel/icmp_packet.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/ip_sum.h"
#include "kernel/udp_packet.h"
#include "util/vec.h"

#define ICMP_HEADER 8
#define TTL         64
/* No route has a larger one, so none gets a smaller one by it. */
#define MTU_NO_LESS 65535

/* ---- to send one ---- */

static size_t header4(const uint8_t *packet)
{
	return (size_t)(packet[0] & 0xf) * 4;
}

int icmp_packet_family(const uint8_t *packet, size_t len)
{
	size_t at;
	uint8_t type;

	if (len < sizeof(struct iphdr) || len > UINT16_MAX)
		return -EINVAL;
	if (packet[0] >> 4 == 4) {
		at = header4(packet);
		if (at < sizeof(struct iphdr) || len < at + ICMP_HEADER ||
			packet[offsetof(struct iphdr, protocol)] != IPPROTO_ICMP)
			return -EINVAL;
		type = packet[at];
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
				       type == ICMP_PARAMETERPROB
			       ? AF_INET
			       : -EINVAL;
	}
	at = sizeof(struct ip6_hdr);
	if (packet[0] >> 4 != 6 || len < at + ICMP_HEADER ||
		packet[offsetof(struct ip6_hdr, ip6_nxt)] != IPPROTO_ICMPV6)
		return -EINVAL;
	return packet[at] >= ICMP6_DST_UNREACH && packet[at] <= ICMP6_PARAM_PROB ? AF_INET6
										 : -EINVAL;
}

static void finish4(uint8_t *packet, size_t len)
{
	size_t at = header4(packet);
	uint16_t sum = 0;

	/* the kernel writes length and checksum of the header itself */
	memcpy(packet + at + offsetof(struct icmphdr, checksum), &sum, sizeof(sum));
	sum = ip_sum_end(ip_sum_add(0, packet + at, len - at));
	memcpy(packet + at + offsetof(struct icmphdr, checksum), &sum, sizeof(sum));
}

static void finish6(uint8_t *packet, size_t len)
{
	size_t at = sizeof(struct ip6_hdr);
	uint8_t *to = packet + at + offsetof(struct icmp6_hdr, icmp6_cksum);
	struct ip6_hdr ip;
	uint16_t sum = 0;
	uint32_t pseudo;

	memcpy(&ip, packet, sizeof(ip));
	pseudo = ip_sum_pseudo6(&ip.ip6_src, &ip.ip6_dst, IPPROTO_ICMPV6, len - at);
	ip.ip6_plen = htons(len - at);
	memcpy(packet, &ip, sizeof(ip));
	memcpy(to, &sum, sizeof(sum));
	sum = ip_sum_end(ip_sum_add(pseudo, packet + at, len - at));
	memcpy(to, &sum, sizeof(sum));
}

int icmp_packet_send(int raw, uint8_t *packet, size_t len)
{
	int family = icmp_packet_family(packet, len);
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6}, from6;
	const struct sockaddr *to = family == AF_INET ? (void *)&to4 : (void *)&to6;

	if (family < 0)
		return family;
	if (family == AF_INET) {
		finish4(packet, len);
		memcpy(&to4.sin_addr, packet + offsetof(struct iphdr, daddr), 4);
	} else {
		finish6(packet, len);
		memcpy(&to6.sin6_addr, packet + offsetof(struct ip6_hdr, ip6_dst), 16);
		memcpy(&from6.sin6_addr, packet + offsetof(struct ip6_hdr, ip6_src), 16);
		if (IN6_IS_ADDR_LINKLOCAL(&to6.sin6_addr) ||
			IN6_IS_ADDR_LINKLOCAL(&from6.sin6_addr))
			return -ENETUNREACH;
	}
	if (!udp_packet_local(to))
		return -ENETUNREACH;
	return sendto(raw, packet, len, 0, to, family == AF_INET ? sizeof(to4) : sizeof(to6)) < 0
		       ? -errno
		       : 0;
}

/* ---- to make one ---- */

/* What a program that asks for errors (IP_RECVERR) is told; the first that leads to an errno counts. */
static const struct {
	int family, error;
	uint8_t type, code;
} kinds[] = {
	{AF_INET, ECONNREFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH},
	{AF_INET, EHOSTUNREACH, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
	{AF_INET, ENETUNREACH, ICMP_DEST_UNREACH, ICMP_NET_UNREACH},
	{AF_INET, ENOPROTOOPT, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH},
	{AF_INET, EMSGSIZE, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED},
	{AF_INET, EOPNOTSUPP, ICMP_DEST_UNREACH, ICMP_SR_FAILED},
	{AF_INET, EHOSTDOWN, ICMP_DEST_UNREACH, ICMP_HOST_UNKNOWN},
	{AF_INET, ENONET, ICMP_DEST_UNREACH, ICMP_HOST_ISOLATED},
	{AF_INET, EPROTO, ICMP_PARAMETERPROB, 0},
	{AF_INET6, ECONNREFUSED, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT},
	{AF_INET6, EHOSTUNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR},
	{AF_INET6, ENETUNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
	{AF_INET6, EACCES, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN},
	{AF_INET6, EMSGSIZE, ICMP6_PACKET_TOO_BIG, 0},
	{AF_INET6, EPROTO, ICMP6_PARAM_PROB, 0},
};

static size_t put_ip(uint8_t *at, const struct sockaddr *from, const struct sockaddr *to,
	int protocol, size_t len)
{
	struct iphdr ip = {.version = 4, .ihl = sizeof(ip) / 4, .ttl = TTL, .protocol = protocol};
	struct ip6_hdr ip6 = {.ip6_nxt = protocol, .ip6_hlim = TTL, .ip6_plen = htons(len)};

	if (from->sa_family == AF_INET) {
		ip.tot_len = htons(sizeof(ip) + len);
		ip.saddr = ((const struct sockaddr_in *)from)->sin_addr.s_addr;
		ip.daddr = ((const struct sockaddr_in *)to)->sin_addr.s_addr;
		memcpy(at, &ip, sizeof(ip));
		return sizeof(ip);
	}
	ip6.ip6_vfc = 6 << 4;
	ip6.ip6_src = ((const struct sockaddr_in6 *)from)->sin6_addr;
	ip6.ip6_dst = ((const struct sockaddr_in6 *)to)->sin6_addr;
	memcpy(at, &ip6, sizeof(ip6));
	return sizeof(ip6);
}

/* What the socket is said to have sent: 8 bytes. */
static void put_sent(
	uint8_t *at, int protocol, const struct sockaddr *from, const struct sockaddr *to)
{
	uint16_t port = ((const struct sockaddr_in *)from)->sin_port; /* of both families */
	struct udphdr udp = {.source = port, .len = htons(sizeof(udp))};
	struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.id = port};

	udp.dest = ((const struct sockaddr_in *)to)->sin_port;
	if (from->sa_family == AF_INET6)
		echo.type = ICMP6_ECHO_REQUEST;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		memcpy(at, &echo, sizeof(echo));
	else
		memcpy(at, &udp, sizeof(udp));
}

size_t icmp_packet_make(int error, int protocol, const struct sockaddr *from,
	const struct sockaddr *to, uint8_t *ret)
{
	bool four = from->sa_family == AF_INET;
	size_t ip = four ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	uint32_t info = error == EMSGSIZE ? htonl(MTU_NO_LESS) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].family != from->sa_family || kinds[i].error != error)
			continue;
		put_ip(ret, to, from, four ? IPPROTO_ICMP : IPPROTO_ICMPV6, 2 * ICMP_HEADER + ip);
		ret[ip] = kinds[i].type;
		ret[ip + 1] = kinds[i].code;
		memcpy(ret + ip + 4, &info, sizeof(info));
		put_ip(ret + ip + ICMP_HEADER, from, to, protocol, ICMP_HEADER);
		put_sent(ret + 2 * ip + ICMP_HEADER, protocol, from, to);
		return 2 * (ip + ICMP_HEADER);
	}
	return 0;
}
