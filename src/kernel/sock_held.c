/*
 * sock_held.c - see sock_held.h.
 *
 * The write queue of the socket holds buffers, each as long as the device lets a packet be: room for the header of IP,
 * in the first one also for that of UDP, and data; partly in pages of their own. The header is as long in each, so
 * it is known from the sum. Beside them stands the cork: route, addresses and what came as control messages.
 *
 * All is checked for what can be: the inode of the socket, how many buffers, that their lengths add up. Nothing
 * else comes from the kernel's memory than bytes of the datagram and numbers that a restore hands to sendmsg(2).
 */
#include "kernel/sock_held.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/kmem_skb.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define BUFFERS_MAX 2000 /* 64 KiB in packets of the smallest size that IPv4 knows, 68 */
#define TOTAL_MAX   (65536UL + BUFFERS_MAX * 60)

#define UDP_HEADER  8
#define HEADER_MIN  20 /* of IPv4 */
#define HEADER_MAX  60
#define HEADER_IPV6 40
#define FLOW_LABEL  0x000fffff
#define ATTEMPTS    3

/* Where members are; those of a cork from the start of the socket. */
struct offsets {
	int first, count;
	int pending, udp_len;
	int opt, total, dst, ttl, tos, segment;
	int to4, from4, port4, to6, from6, label6, port6;
	int inet6, hops, tclass, opt6;
	int dev, name;
	bool no_six; /* some of those of IPv6 are not there */
};

struct sock_held_reader {
	struct kmem *k; /* borrowed */
	struct kmem_skb_offsets s;
	struct offsets o;
};

/* A kernel without IPv6 lacks those of IPv6. */
/* clang-format off */
#define AT(field, of_six, ...) {offsetof(struct offsets, field), of_six, {__VA_ARGS__}}
#define ROW(field, ...) AT(field, false, __VA_ARGS__)
#define SIX(field, ...) AT(field, true, __VA_ARGS__)
#define CORK(field, member) \
	ROW(field, {"inet_sock", "cork"}, {"inet_cork_full", "base"}, {"inet_cork", member})
#define FLOW4(field, member) \
	ROW(field, {"inet_sock", "cork"}, {"inet_cork_full", "fl"}, {"flowi4", member})
#define FLOW6(field, member) \
	SIX(field, {"inet_sock", "cork"}, {"inet_cork_full", "fl"}, {"flowi6", member})
/* clang-format on */

static const struct kmem_row rows[] = {
	ROW(first, {"sock", "sk_write_queue"}, {"sk_buff_head", "next"}),
	ROW(count, {"sock", "sk_write_queue"}, {"sk_buff_head", "qlen"}),
	ROW(pending, {"udp_sock", "pending"}),
	ROW(udp_len, {"udp_sock", "len"}),
	CORK(opt, "opt"),
	CORK(total, "length"),
	CORK(dst, "dst"),
	CORK(ttl, "ttl"),
	CORK(tos, "tos"),
	CORK(segment, "gso_size"),
	FLOW4(to4, "daddr"),
	FLOW4(from4, "saddr"),
	FLOW4(port4, "uli"),
	FLOW6(to6, "daddr"),
	FLOW6(from6, "saddr"),
	FLOW6(label6, "flowlabel"),
	FLOW6(port6, "uli"),
	SIX(inet6, {"inet_sock", "pinet6"}),
	SIX(hops, {"ipv6_pinfo", "cork"}, {"inet6_cork", "hop_limit"}),
	SIX(tclass, {"ipv6_pinfo", "cork"}, {"inet6_cork", "tclass"}),
	SIX(opt6, {"ipv6_pinfo", "cork"}, {"inet6_cork", "opt"}),
	ROW(dev, {"dst_entry", "dev"}),
	ROW(name, {"net_device", "name"}),
};

int sock_held_open(struct kmem *k, struct sock_held_reader **ret)
{
	struct sock_held_reader *h = calloc(1, sizeof(*h));
	int r = h ? kmem_skb_open(&k->btf, &h->s) : -ENOMEM;

	if (r == 0)
		r = kmem_rows_find(&k->btf, rows, ARRAY_SIZE(rows), &h->o, &h->o.no_six);
	if (r < 0) {
		sock_held_close(h);
		return r;
	}
	h->k = k;
	*ret = h;
	return 0;
}

void sock_held_close(struct sock_held_reader *h)
{
	free(h);
}

#define WANT(member, var)                                                                          \
	{                                                                                          \
		h->o.member, &(var), sizeof(var)                                                   \
	}

/* ---- the data ---- */

/* All buffers, headers included, behind each other; @ret_starts: where each begins */
static int get_buffers(
	struct sock_held_reader *h, uint64_t sk, uint32_t count, uint8_t *to, uint32_t *ret_starts)
{
	uint64_t at = kmem_word(h->k, sk + (uint64_t)h->o.first);
	uint32_t sum = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct kmem_skb b;
		int r = kmem_skb_get(h->k, &h->s, at, TOTAL_MAX, &b);

		if (r < 0)
			return r;
		if (b.len > TOTAL_MAX - sum)
			return -EAGAIN;
		ret_starts[i] = sum;
		r = kmem_skb_read(h->k, &h->s, &b, to + sum);
		if (r < 0)
			return r;
		sum += b.len;
		at = b.next;
	}
	ret_starts[count] = sum;
	return at == sk + (uint64_t)h->o.first ? 0 : -EAGAIN;
}

/* @total: with the header of UDP, @skip bytes, which is not written yet */
static int get_data(struct sock_held_reader *h, uint64_t sk, uint32_t count, uint32_t total,
	uint32_t skip, struct sock_held *ret)
{
	_cleanup_free_ uint8_t *raw = malloc(TOTAL_MAX), *data = malloc(TOTAL_MAX);
	_cleanup_free_ uint32_t *starts = calloc(BUFFERS_MAX + 1, sizeof(*starts));
	uint32_t header, sum;
	size_t at = 0;
	int r;

	if (!raw || !data || !starts)
		return -ENOMEM;
	if (count > BUFFERS_MAX)
		return -EAGAIN;
	r = get_buffers(h, sk, count, raw, starts);
	if (r < 0)
		return r;
	sum = starts[count];
	header = sum > total ? (sum - total) / count : 0;
	if (total < skip || header < HEADER_MIN || header > HEADER_MAX ||
		sum - total != header * count || (ret->family == AF_INET6 && header != HEADER_IPV6))
		return -EAGAIN;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t len = starts[i + 1] - starts[i];

		if (len < header)
			return -EAGAIN;
		memcpy(data + at, raw + starts[i] + header, len - header);
		at += len - header;
	}
	ret->len = at - skip;
	memmove(data, data + skip, ret->len);
	ret->data = TAKE_PTR(data);
	return 0;
}

/* ---- where it goes ---- */

/* Where a raw socket sends to is not kept: it is told again with each piece. */
static int get_cork4(const struct sock_held_reader *h, uint64_t sk, bool raw, struct sock_held *ret)
{
	uint8_t ttl = 0;
	int16_t tos = 0;
	uint32_t to = 0, from = 0;
	uint16_t port = 0;
	const struct kmem_want w[] = {WANT(ttl, ttl), WANT(tos, tos), WANT(to4, to),
		WANT(from4, from), WANT(port4, port)};
	int r = kmem_get(h->k, sk, w, raw ? 2 : ARRAY_SIZE(w));

	ret->ttl = ttl;
	ret->tos = tos;
	ret->port = port;
	memcpy(ret->to, &to, sizeof(to));
	memcpy(ret->from, &from, sizeof(from));
	return r;
}

static int get_cork6(const struct sock_held_reader *h, uint64_t sk, bool raw, struct sock_held *ret)
{
	uint64_t inet6 = h->o.no_six ? 0 : kmem_word(h->k, sk + (uint64_t)h->o.inet6), opt = 0;
	uint8_t hops = 0, tclass = 0;
	const struct kmem_want of6[] = {WANT(hops, hops), WANT(tclass, tclass), WANT(opt6, opt)};
	const struct kmem_want w[] = {WANT(to6, ret->to), WANT(from6, ret->from),
		WANT(label6, ret->label), WANT(port6, ret->port)};
	int r = h->o.no_six ? -ENOENT : kmem_get(h->k, inet6, of6, ARRAY_SIZE(of6));

	if (r == 0)
		r = kmem_get(h->k, sk, w, raw ? 3 : ARRAY_SIZE(w));
	ret->ttl = hops;
	ret->tos = tclass;
	ret->label &= htonl(FLOW_LABEL);
	return r == 0 && opt ? -EOPNOTSUPP : r;
}

static int get_cork(const struct sock_held_reader *h, uint64_t sk, bool raw, struct sock_held *ret)
{
	uint64_t dst = 0, dev = 0, opt = 0;
	const struct kmem_want w[] = {WANT(dst, dst), WANT(opt, opt), WANT(segment, ret->segment)};
	const struct kmem_want of_dst[] = {WANT(dev, dev)};
	const struct kmem_want of_dev[] = {WANT(name, ret->device)};
	int r = kmem_get(h->k, sk, w, ARRAY_SIZE(w));

	if (r == 0)
		r = kmem_get(h->k, dst, of_dst, 1);
	if (r == 0)
		r = kmem_get(h->k, dev, of_dev, 1);
	ret->device[sizeof(ret->device) - 1] = '\0';
	if (r == 0 && opt)
		r = -EOPNOTSUPP;
	if (r < 0)
		return r;
	return ret->family == AF_INET ? get_cork4(h, sk, raw, ret) : get_cork6(h, sk, raw, ret);
}

/* ---- together ---- */

static int read_once(
	struct sock_held_reader *h, int fd, ino_t ino, int family, bool raw, struct sock_held *ret)
{
	uint64_t sk = kmem_sock(h->k, fd, ino);
	uint32_t count = 0, total = 0;
	uint16_t udp_len = 0;
	const struct kmem_want of_any[] = {WANT(count, count)};
	const struct kmem_want of_raw[] = {WANT(total, total)};
	const struct kmem_want of_udp[] = {WANT(pending, ret->family), WANT(udp_len, udp_len)};
	int r = kmem_get(h->k, sk, of_any, 1);

	*ret = (struct sock_held){.family = family};
	if (r < 0 || !count)
		return r;
	r = raw ? kmem_get(h->k, sk, of_raw, 1) : kmem_get(h->k, sk, of_udp, 2);
	if (!raw)
		total = udp_len;
	if (r == 0 && ret->family != AF_INET && (ret->family != AF_INET6 || family != AF_INET6))
		r = -EAGAIN;
	if (r == 0)
		r = get_cork(h, sk, raw, ret);
	if (r == 0)
		r = get_data(h, sk, count, total, raw ? 0 : UDP_HEADER, ret);
	return r < 0 ? r : 1;
}

int sock_held_read(
	struct sock_held_reader *h, int fd, ino_t ino, int family, bool raw, struct sock_held *ret)
{
	struct sock_held found;
	int r = -EAGAIN;

	for (int i = 0; (r == -EAGAIN || r == -EFAULT) && i < ATTEMPTS; i++)
		r = read_once(h, fd, ino, family, raw, &found);
	if (r == 1)
		*ret = found;
	return r;
}
