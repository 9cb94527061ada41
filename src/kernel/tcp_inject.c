/*
 * tcp_inject.c - see tcp_inject.h.
 *
 * Source: raw(7), ipv6(7) IPV6_HDRINCL (Linux >= 4.5), RFC 9293. The segment has no time stamp: Linux takes
 * it nevertheless.
 */
#include "kernel/tcp_inject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "kernel/netlock.h"
#include "kernel/tcp_key.h"
#include "util/cleanup.h"
#include "util/vec.h"

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

/* A socket may want packets that nobody has forwarded (IP_MINTTL). */
#define HOPS        255
#define OPTIONS_MAX 40

int tcp_inject_open(int family)
{
	_cleanup_close_ int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	int one = 1, mark = NETLOCK_PASS_MARK;

	if (fd < 0)
		return -errno;
	/* the peer may be a program that is gone as well: its lock shall not concern us */
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	/* IPPROTO_RAW says it for IPv4 */
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static uint32_t sum_of(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	return len % 2 ? sum + ((uint32_t)b[len - 1] << 8) : sum;
}

static size_t segment_len(const struct tcp_segment *s)
{
	return sizeof(struct tcphdr) + s->options_len + s->len;
}

/* An urgent pointer of 0 is the first byte for either reading of the standard (tcp_stdurg). @sum: of the addresses */
static struct tcphdr header_of(
	const struct tcp_segment *s, uint32_t sum, in_port_t from, in_port_t to)
{
	struct tcphdr h = {.th_sport = from,
		.th_dport = to,
		.th_seq = htonl(s->seq),
		.th_ack = htonl(s->ack),
		.th_off = (uint8_t)((sizeof(h) + s->options_len) / 4) & 15,
		.th_flags = (s->syn ? TH_SYN : TH_ACK) | (s->fin ? TH_FIN : 0) |
			    (s->rst ? TH_RST : 0) | (s->urg ? TH_URG : 0),
		.th_win = htons(s->window)};

	sum += IPPROTO_TCP + (uint32_t)segment_len(s) + sum_of(&h, sizeof(h)) +
	       sum_of(s->options, s->options_len) + sum_of(s->data, s->len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	h.th_sum = htons((uint16_t)~sum);
	return h;
}

/* @p: both headers */
static int send_packet(
	int fd, const struct tcp_segment *s, void *p, size_t len, void *to, socklen_t to_len)
{
	struct iovec iov[] = {
		{p, len}, {(void *)s->options, s->options_len}, {(void *)s->data, s->len}};
	struct msghdr m = {.msg_name = to, .msg_namelen = to_len, .msg_iov = iov, .msg_iovlen = 3};

	return sendmsg(fd, &m, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int inject4(int fd, const struct tcp_segment *s)
{
	const struct sockaddr_in *from = (const void *)s->from, *to = (const void *)s->to;
	struct sockaddr_in dst = {.sin_family = AF_INET, .sin_addr = to->sin_addr};
	struct {
		struct ip ip;
		struct tcphdr tcp;
	} p = {.ip = {.ip_v = 4,
		       .ip_hl = sizeof(p.ip) / 4,
		       .ip_len = htons((uint16_t)(sizeof(p.ip) + segment_len(s))),
		       .ip_off = htons(IP_DF),
		       .ip_ttl = HOPS,
		       .ip_p = IPPROTO_TCP,
		       .ip_src = from->sin_addr,
		       .ip_dst = to->sin_addr}};

	p.tcp = header_of(s, sum_of(&from->sin_addr, 4) + sum_of(&to->sin_addr, 4), from->sin_port,
		to->sin_port);
	return send_packet(fd, s, &p, sizeof(p), &dst, sizeof(dst));
}

static int inject6(int fd, const struct tcp_segment *s)
{
	const struct sockaddr_in6 *from = (const void *)s->from, *to = (const void *)s->to;
	struct sockaddr_in6 dst = {.sin6_family = AF_INET6,
		.sin6_addr = to->sin6_addr,
		.sin6_scope_id = to->sin6_scope_id};
	struct {
		struct ip6_hdr ip;
		struct tcphdr tcp;
	} p = {.ip = {.ip6_src = from->sin6_addr, .ip6_dst = to->sin6_addr}};

	p.ip.ip6_vfc = 6 << 4;
	p.ip.ip6_plen = htons((uint16_t)segment_len(s));
	p.ip.ip6_nxt = IPPROTO_TCP;
	p.ip.ip6_hlim = HOPS;
	p.tcp = header_of(s, sum_of(&from->sin6_addr, 16) + sum_of(&to->sin6_addr, 16),
		from->sin6_port, to->sin6_port);
	return send_packet(fd, s, &p, sizeof(p), &dst, sizeof(dst));
}

/* The signature is one more option; it is of the header with the length that this gives it. */
static void sign(struct tcp_segment *s, uint8_t options[OPTIONS_MAX])
{
	const struct sockaddr_in *from = (const void *)s->from, *to = (const void *)s->to;
	size_t before = s->options_len;
	struct tcphdr h;

	if (before)
		memcpy(options, s->options, before);
	memset(options + before, 0, TCP_KEY_OPTION);
	s->options = options;
	s->options_len += TCP_KEY_OPTION;
	h = header_of(s, 0, from->sin_port, to->sin_port); /* of either family at the same place */
	tcp_key_sign(s->key,
		&(struct tcp_signed){.from = s->from,
			.to = s->to,
			.header = &h,
			.segment_len = segment_len(s),
			.data = s->data,
			.len = s->len},
		options + before);
}

int tcp_inject(int fd, const struct tcp_segment *segment)
{
	uint8_t options[OPTIONS_MAX];
	struct tcp_segment copy = *segment, *s = &copy;

	if (s->options_len + (s->key ? TCP_KEY_OPTION : 0) > OPTIONS_MAX || s->options_len % 4 ||
		s->len > TCP_INJECT_DATA)
		return -EINVAL;
	if (s->key)
		sign(s, options);
	return s->to->ss_family == AF_INET6 ? inject6(fd, s) : inject4(fd, s);
}

int tcp_inject_data(int fd, struct tcp_segment *s, const uint8_t *data, size_t len, size_t most)
{
	while (len) {
		int r;

		s->data = data;
		s->len = MIN(len, most);
		r = tcp_inject(fd, s);
		if ((r == -EMSGSIZE || r == -ENOBUFS) && most > TCP_INJECT_DATA_SMALL) {
			most = TCP_INJECT_DATA_SMALL;
			continue;
		}
		if (r < 0)
			return r;
		s->seq += (uint32_t)s->len;
		s->urg = false;
		data += s->len;
		len -= s->len;
	}
	s->data = NULL;
	s->len = 0;
	return 0;
}

void tcp_plain_addr(struct sockaddr_storage *a)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in *in = (void *)a;

	memcpy(&in6, a, sizeof(in6));
	if (a->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return;
	memset(a, 0, sizeof(*a));
	in->sin_family = AF_INET;
	in->sin_port = in6.sin6_port;
	memcpy(&in->sin_addr, &in6.sin6_addr.s6_addr[12], sizeof(in->sin_addr));
}
