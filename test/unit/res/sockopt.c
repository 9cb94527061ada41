/*
 * Socket options: what a socket was given is read and given to another, which then reads the same. Every
 * row of the table that this kernel has is tried with a value that no new socket has.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/socket.pb-c.h"
#include "res/socket/sockopt.h"
#include "util/vec.h"

static const struct {
	int family, type, protocol;
} kinds[] = {
	{AF_INET, SOCK_DGRAM, 0},
	{AF_INET, SOCK_STREAM, 0},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
	{AF_INET, SOCK_RAW, IPPROTO_ICMP},
	{AF_INET6, SOCK_DGRAM, 0},
	{AF_INET6, SOCK_STREAM, 0},
	{AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
	{AF_INET6, SOCK_RAW, IPPROTO_UDP},
	{AF_UNIX, SOCK_DGRAM, 0},
	{AF_UNIX, SOCK_STREAM, 0},
	{AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
	{AF_PACKET, SOCK_RAW, 0},
	{AF_VSOCK, SOCK_STREAM, 0},
};

struct value {
	size_t len;
	uint8_t bytes[40];
};

static struct value bytes_of(const void *p, size_t len)
{
	struct value v = {.len = len};

	memcpy(v.bytes, p, len);
	return v;
}

/* What may be a value of an option, of whatever kind it is; in_addr and interface numbers are ints. */
static size_t candidates(struct value *v, size_t max)
{
	static const int ints[] = {1, 0, 2, 3, 5, 12, 20, 64, 1280, 8192, 100000};
	static const uint8_t ip_options[] = {7, 7, 4, 0, 0, 0, 0, 0};
	static const uint8_t ext_header[] = {0, 0, 1, 4, 0, 0, 0, 0};
	uint32_t if_lo = htonl(1), lo_addr = htonl(INADDR_LOOPBACK), range = 40100U << 16 | 40000;
	struct linger linger = {1, 7};
	struct timeval tv = {3, 500000};
	uint64_t number = 1UL << 20, small = 200;
	uint32_t pair[2] = {1, 1};
	uint8_t filter[32];
	size_t n = 0;

	memset(filter, 0x55, sizeof(filter));
	for (size_t i = 0; i < ARRAY_SIZE(ints); i++)
		v[n++] = bytes_of(&ints[i], sizeof(int));
	v[n++] = bytes_of(&if_lo, 4);
	v[n++] = bytes_of(&lo_addr, 4);
	v[n++] = bytes_of(&range, 4);
	v[n++] = bytes_of("lo", 3);
	v[n++] = bytes_of("reno", 4); /* the one congestion control that every kernel has */
	v[n++] = bytes_of(pair, 8);
	v[n++] = bytes_of(&linger, sizeof(linger));
	v[n++] = bytes_of(&number, 8);
	v[n++] = bytes_of(&small, 8);
	v[n++] = bytes_of(ip_options, sizeof(ip_options));
	v[n++] = bytes_of(ext_header, sizeof(ext_header));
	v[n++] = bytes_of(&tv, sizeof(tv));
	v[n++] = bytes_of(filter, sizeof(filter));
	cr_assert_leq(n, max);
	return n;
}

static bool differs(int a, int b, const struct sockopt *row)
{
	uint8_t va[SOCKOPT_VALUE_MAX], vb[SOCKOPT_VALUE_MAX];
	socklen_t la = sizeof(va), lb = sizeof(vb);
	int ra = getsockopt(a, row->level, row->name, va, &la);
	int rb = getsockopt(b, row->level, row->name, vb, &lb);

	return ra != rb || (ra == 0 && (la != lb || memcmp(va, vb, la) != 0));
}

static void set_all(int fd, const Ckpt__Socket *m)
{
	for (int when = SOCKOPT_NEW; when <= SOCKOPT_LAST; when++) {
		for (size_t i = 0; i < m->n_options; i++) {
			const Ckpt__SocketOption *o = m->options[i];
			const struct sockopt *row = sockopt_find(o->level, o->name);

			if ((int)row->when == when || (row->again && when == SOCKOPT_LAST))
				cr_expect_eq(sockopt_set(fd, row, o->value.data, o->value.len), 0,
					"%s cannot be set: %s", row->text, strerror(errno));
		}
	}
}

static void open_three(size_t kind, int fd[3])
{
	for (int j = 0; j < 3; j++)
		fd[j] = socket(
			kinds[kind].family, kinds[kind].type | SOCK_CLOEXEC, kinds[kind].protocol);
}

/* The whole of one socket to a new one. */
static void come_over(size_t kind, int from, int to, const struct sockopt *row)
{
	struct collect_tree t = {0};
	Ckpt__Socket m = CKPT__SOCKET__INIT;
	const struct sockopt *other;

	m.family = kinds[kind].family;
	m.type = kinds[kind].type;
	m.protocol = kinds[kind].protocol;
	cr_assert_eq(sockopt_collect(&t, from, &m), 0);
	set_all(to, &m);
	for (size_t k = 0; (other = sockopt_at(k)); k++)
		cr_expect(!differs(from, to, other),
			"socket %d/%d/%d with %s: %s came out different", m.family, m.type,
			m.protocol, row->text, other->text);
	for (size_t k = 0; k < m.n_options; k++)
		protobuf_c_message_free_unpacked(&m.options[k]->base, NULL);
	free(m.options);
	sockopt_done(&t);
}

/* Return: whether a value was found that this kind of socket takes; then it comes over. */
static bool round_trip(size_t kind, const struct sockopt *row)
{
	struct value v[32];
	size_t n = candidates(v, ARRAY_SIZE(v));
	bool found = false;
	int fd[3];

	open_three(kind, fd);
	for (size_t i = 0; fd[0] >= 0 && i < n && !found; i++)
		found = setsockopt(fd[0], row->level, row->name, v[i].bytes, v[i].len) == 0 &&
			differs(fd[0], fd[1], row);
	if (found)
		come_over(kind, fd[0], fd[2], row);
	for (int j = 0; j < 3; j++)
		close(fd[j]);
	return found;
}

static bool kernel_has(const struct sockopt *row)
{
	bool has = false;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !has; i++) {
		uint8_t v[SOCKOPT_VALUE_MAX];
		socklen_t len = sizeof(v);
		int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);

		has = fd >= 0 && getsockopt(fd, row->level, row->name, v, &len) == 0;
		close(fd);
	}
	return has;
}

/* What can be changed only on other machines or by other means than a new socket has. */
static bool elsewhere(const struct sockopt *row)
{
	static const char *const names[] = {"SO_RESERVE_MEM", /* memory control groups */
		"SO_PASSSEC", "SO_TXREHASH", "SO_WIFI_STATUS", "IPV6_RTHDR", "IPV6_2292RTHDR"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], row->text))
			return true;
	return false;
}

Test(sockopt, round_trip, .timeout = 60)
{
	const struct sockopt *row;

	if (geteuid() != 0)
		cr_skip("some options take root");
	for (size_t i = 0; (row = sockopt_at(i)); i++) {
		bool tried = false;

		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			if (sockopt_applies(row, kinds[k].family, kinds[k].type))
				tried |= round_trip(k, row);
		cr_expect(tried || elsewhere(row) || !kernel_has(row),
			"%s: no value was found for it", row->text);
	}
}

Test(sockopt, no_row_twice)
{
	const struct sockopt *row;

	for (size_t i = 0; (row = sockopt_at(i)); i++)
		cr_expect_eq(
			sockopt_find(row->level, row->name), row, "%s stands twice", row->text);
}

/* What a new socket has is not worth a byte. */
Test(sockopt, plain_has_none)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct collect_tree t = {0};
		Ckpt__Socket m = CKPT__SOCKET__INIT;
		int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);

		if (fd < 0)
			continue;
		m.family = kinds[i].family;
		m.type = kinds[i].type;
		m.protocol = kinds[i].protocol;
		cr_expect_eq(sockopt_collect(&t, fd, &m), 0);
		cr_expect_eq(m.n_options, 0, "socket %d/%d: option %d of level %d", m.family,
			m.type, m.n_options ? m.options[0]->name : 0,
			m.n_options ? m.options[0]->level : 0);
		sockopt_done(&t);
		close(fd);
	}
}

/* The size that TCP gave a buffer is not the program's; the one that a program set is. */
Test(sockopt, sizes_of_tcp)
{
	struct collect_tree t = {0};
	Ckpt__Socket m = CKPT__SOCKET__INIT;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), usual = 0, lock;
	socklen_t len = sizeof(usual);

	if (getsockopt(fd, SOL_SOCKET, 72, &lock, &len) < 0)
		cr_skip("no SO_BUF_LOCK");
	m.family = AF_INET;
	m.type = SOCK_STREAM;
	m.protocol = IPPROTO_TCP;
	len = sizeof(usual);
	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &usual, &len), 0);
	usual = 50000;
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &usual, sizeof(usual)), 0);
	cr_assert_eq(sockopt_collect(&t, fd, &m), 0);
	cr_expect_eq(m.n_options, 2); /* the size and the lock */
	m.n_options = 0;
	lock = 0;
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, 72, &lock, sizeof(lock)), 0);
	cr_assert_eq(sockopt_collect(&t, fd, &m), 0);
	cr_expect_eq(m.n_options, 0);
	sockopt_done(&t);
	close(fd);
}
