/*
 * udp_packet.c - see udp_packet.h.
 */
#include "kernel/udp_packet.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/ip_sum.h"
#include "util/cleanup.h"

int udp_packet_socket(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	return fd < 0 ? -errno : fd;
}

/* The type of the route there, RTN_*; negative: there is none. */
static int route_type(const struct sockaddr *to)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr h;
		struct rtmsg r;
		struct rtattr a;
		uint8_t addr[16];
	} q = {.h = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST}};
	uint8_t answer[1024];
	const struct nlmsghdr *h = (const void *)answer;
	size_t len = to->sa_family == AF_INET ? 4 : 16;
	ssize_t n;

	q.r.rtm_family = to->sa_family;
	q.r.rtm_dst_len = len * 8;
	q.a.rta_type = RTA_DST;
	q.a.rta_len = RTA_LENGTH(len);
	if (len == 4)
		memcpy(q.addr, &((const struct sockaddr_in *)to)->sin_addr, len);
	else
		memcpy(q.addr, &((const struct sockaddr_in6 *)to)->sin6_addr, len);
	q.h.nlmsg_len = offsetof(typeof(q), addr) + len;
	if (fd < 0 || send(fd, &q, q.h.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)) || h->nlmsg_type != RTM_NEWROUTE)
		return -ENETUNREACH;
	return ((const struct rtmsg *)NLMSG_DATA(h))->rtm_type;
}

bool udp_packet_local(const struct sockaddr *to)
{
	return route_type(to) == RTN_LOCAL;
}

static size_t head4(const struct udp_packet *p, uint8_t *at, size_t udp_len, uint32_t *sum)
{
	const struct sockaddr_in *from = (const void *)p->from, *to = (const void *)p->to;
	struct iphdr ip = {.version = 4, .ihl = sizeof(ip) / 4};

	ip.tos = p->tos;
	ip.ttl = p->ttl;
	ip.protocol = p->protocol;
	ip.tot_len = htons(sizeof(ip) + udp_len);
	ip.saddr = from->sin_addr.s_addr;
	ip.daddr = to->sin_addr.s_addr;
	memcpy(at, &ip, sizeof(ip)); /* the kernel fills in the header's own checksum */
	*sum = ip_sum_pseudo4(from->sin_addr, to->sin_addr, p->protocol, udp_len);
	return sizeof(ip);
}

static size_t head6(const struct udp_packet *p, uint8_t *at, size_t udp_len, uint32_t *sum)
{
	const struct sockaddr_in6 *from = (const void *)p->from, *to = (const void *)p->to;
	struct ip6_hdr ip = {0};

	ip.ip6_flow = htonl(6U << 28 | (uint32_t)p->tos << 20);
	ip.ip6_plen = htons(udp_len);
	ip.ip6_nxt = p->protocol;
	ip.ip6_hlim = p->ttl;
	ip.ip6_src = from->sin6_addr;
	ip.ip6_dst = to->sin6_addr;
	memcpy(at, &ip, sizeof(ip));
	*sum = ip_sum_pseudo6(&from->sin6_addr, &to->sin6_addr, p->protocol, udp_len);
	return sizeof(ip);
}

int udp_packet_send(int raw, const struct udp_packet *p)
{
	size_t udp_len = sizeof(struct udphdr) + p->len, head;
	_cleanup_free_ uint8_t *packet = malloc(sizeof(struct ip6_hdr) + udp_len);
	struct sockaddr_in6 to = {0};
	struct udphdr udp = {0};
	uint32_t sum;
	ssize_t n;

	if (udp_len > UINT16_MAX)
		return -EMSGSIZE;
	if (!packet)
		return -ENOMEM;
	/* the ports are at the same place in both kinds of addresses */
	udp.source = ((const struct sockaddr_in *)p->from)->sin_port;
	udp.dest = ((const struct sockaddr_in *)p->to)->sin_port;
	udp.len = htons(udp_len); /* of UDP-Lite: all of it is covered */
	head = p->from->sa_family == AF_INET ? head4(p, packet, udp_len, &sum)
					     : head6(p, packet, udp_len, &sum);
	sum = ip_sum_add(sum, &udp, sizeof(udp));
	udp.check = ip_sum_end(ip_sum_add(sum, p->data, p->len));
	memcpy(packet + head, &udp, sizeof(udp));
	if (p->len)
		memcpy(packet + head + sizeof(udp), p->data, p->len);
	memcpy(&to, p->to, p->to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(to));
	to.sin6_port = 0; /* of a raw socket it is the protocol */
	n = sendto(raw, packet, head + udp_len, 0, (struct sockaddr *)&to,
		p->to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(to));
	return n < 0 ? -errno : 0;
}
