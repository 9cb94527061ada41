/*
 * e2e: args: cork more empty big control six mapped lite segments group raw raw6 rawany shared flight
 *
 * Holds: a datagram that is not complete. cork: under UDP_CORK, of a connected socket. more: for MSG_MORE, of one
 *        that is not connected, not even bound: only the first piece says where it goes. empty: a first piece without
 *        data. big: 60000 bytes. control: type of service, time to live and the address of the sender came with the
 *        first piece. six: of IPv6, with a traffic class and a hop limit of its own. mapped: IPv4 on a socket of
 *        IPv6. lite: UDP-Lite with a partial checksum. segments: of UDP_SEGMENT. group: to a multicast group by an
 *        interface that the first piece names. raw, raw6: raw sockets. rawany: one of which the
 *        kernel does not keep where it goes: its first piece may be lost. shared: two processes add to it by turns.
 *        flight: the socket is on its way between two processes.
 * Shows: "corked data": nothing leaves before the program says so, and then it is one datagram, with all its bytes.
 */
#include "inet.h"
#include <linux/udp.h>
#include <net/if.h>
#include <sys/wait.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define PROTOCOL 253 /* for experiments, RFC 3692 */

static uint8_t data[60000], got[70000];

static void make_data(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = fds_byte(11, (long long)i);
}

static void send_piece(int fd, size_t from, size_t to, int flags, const union inet_any *dest)
{
	CHECK(sendto(fd, data + from, to - from, flags, dest ? &dest->sa : NULL,
		      dest ? inet_len(dest) : 0) == (ssize_t)(to - from),
		"bytes %zu to %zu: %s", from, to, strerror(errno));
}

static void expect_nothing(int fd)
{
	CHECK(recv(fd, got, sizeof(got), MSG_DONTWAIT) == -1 && errno == EAGAIN,
		"a datagram arrived: %s", strerror(errno));
}

/* Exactly one, these bytes, from there; its control messages are left in @h. */
static void expect_one(int fd, size_t at, size_t len, const union inet_any *from, struct msghdr *h)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct iovec iov = {got, sizeof(got)};
	union inet_any sender;
	ssize_t n;

	poll(&p, 1, 1000); /* what was sent just now may take a moment */
	memset(&sender, 0, sizeof(sender));
	h->msg_name = &sender;
	h->msg_namelen = sizeof(sender);
	h->msg_iov = &iov;
	h->msg_iovlen = 1;
	n = recvmsg(fd, h, MSG_DONTWAIT);
	CHECK(n == (ssize_t)len, "a datagram of %zu bytes: got %zd (%s)", len, n, strerror(errno));
	CHECK(!memcmp(got, data + at, len), "a datagram of %zu bytes has other bytes", len);
	CHECK(!memcmp(&sender, from, inet_len(from)), "the sender is another: port %d, expected %d",
		ntohs(sender.in.sin_port), ntohs(from->in.sin_port));
}

/* Waits; then the pieces @len to @all follow, the last of which completes it. */
static void stay_and_complete(
	int out, int in, size_t len, size_t all, const union inet_any *from, struct msghdr *h)
{
	size_t half = len + (all - len) / 2;
	int corked = 0, zero = 0;
	socklen_t n = sizeof(corked);

	getsockopt(out, IPPROTO_UDP, UDP_CORK, &corked, &n);
	victim_ready();
	victim_wait();
	expect_nothing(in);
	send_piece(out, len, half, MSG_MORE, NULL);
	expect_nothing(in);
	send_piece(out, half, all, 0, NULL);
	if (corked) {
		expect_nothing(in);
		CHECK(inet_get(out, IPPROTO_UDP, UDP_CORK) == 1, "UDP_CORK is off");
		MUST(setsockopt(out, IPPROTO_UDP, UDP_CORK, &zero, sizeof(zero)));
	}
	expect_one(in, 0, all, from, h);
	expect_nothing(in);
}

static void complete_plain(int out, int in, size_t len, size_t all, const char *from)
{
	union inet_any a = inet_of(from, inet_port(out));
	struct msghdr h = {.msg_control = NULL};

	stay_and_complete(out, in, len, all, &a, &h);
	/* and it works as ever */
	a = inet_of(from, inet_port(in));
	CHECK(sendto(out, data, 9, 0, &a.sa, inet_len(&a)) == 9, "sendto: %s", strerror(errno));
	a = inet_of(from, inet_port(out));
	expect_one(in, 0, 9, &a, &h);
}

static void cork(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	int out = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);

	inet_connect(out, "127.0.0.1", inet_port(in));
	inet_set(out, IPPROTO_UDP, UDP_CORK, 1);
	for (size_t i = 0; i < 3; i++)
		send_piece(out, 100 * i, 100 * i + 100, 0, NULL);
	complete_plain(out, in, 300, 1000, "127.0.0.1");
}

static void more(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0),
	    out = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	union inet_any to = inet_of("127.0.0.1", inet_port(in));

	send_piece(out, 0, 7, MSG_MORE, &to);
	complete_plain(out, in, 7, 19, "127.0.0.1");
}

static void empty(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	int out = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	union inet_any to = inet_of("127.0.0.1", inet_port(in));

	send_piece(out, 0, 0, MSG_MORE, &to);
	complete_plain(out, in, 0, 19, "127.0.0.1");
}

static void big(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	int out = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	union inet_any to = inet_of("127.0.0.1", inet_port(in));

	for (size_t i = 0; i < 50000; i += 500)
		send_piece(out, i, i + 500, MSG_MORE, &to);
	complete_plain(out, in, 50000, sizeof(data), "127.0.0.1");
}

/* A first piece of 50 bytes with control messages. */
static void send_with(int fd, const union inet_any *to, const void *control, size_t len)
{
	struct iovec iov = {data, 50};
	struct msghdr h = {.msg_name = (void *)to,
		.msg_namelen = inet_len(to),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = (void *)control,
		.msg_controllen = len};

	CHECK(sendmsg(fd, &h, MSG_MORE) == 50, "sendmsg: %s", strerror(errno));
}

static size_t put_control(uint8_t *at, int level, int type, const void *value, size_t len)
{
	struct cmsghdr c = {CMSG_LEN(len), level, type};

	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), value, len);
	return CMSG_SPACE(len);
}

/* The number that came with a datagram. */
static int told(struct msghdr *h, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		int n = 0;

		if (c->cmsg_level != level || c->cmsg_type != type)
			continue;
		memcpy(&n, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) == 1 ? 1 : sizeof(n));
		return n;
	}
	return -1;
}

static void control(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0), ttl = 33, tos = 0x48;
	int out = inet_bound(SOCK_DGRAM, 0, "0.0.0.0", 0);
	union inet_any to = inet_of("127.0.0.1", inet_port(in)),
		       from = inet_of("127.0.0.77", inet_port(out));
	struct in_pktinfo source = {.ipi_spec_dst = from.in.sin_addr};
	uint8_t c[200] __attribute__((aligned(8))), told_c[200] __attribute__((aligned(8)));
	struct msghdr h = {.msg_control = told_c, .msg_controllen = sizeof(told_c)};
	size_t len = 0;

	inet_set(in, IPPROTO_IP, IP_RECVTTL, 1);
	inet_set(in, IPPROTO_IP, IP_RECVTOS, 1);
	len += put_control(c + len, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	len += put_control(c + len, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	len += put_control(c + len, IPPROTO_IP, IP_PKTINFO, &source, sizeof(source));
	send_with(out, &to, c, len);
	stay_and_complete(out, in, 50, 90, &from, &h);
	CHECK(told(&h, IPPROTO_IP, IP_TTL) == ttl, "ttl: expected %d, got %d", ttl,
		told(&h, IPPROTO_IP, IP_TTL));
	CHECK(told(&h, IPPROTO_IP, IP_TOS) == tos, "tos: expected %#x, got %#x", tos,
		told(&h, IPPROTO_IP, IP_TOS));
}

static void six(void)
{
	int in, out, hops = 21, tclass = 0x68;
	uint8_t c[200] __attribute__((aligned(8))), told_c[200] __attribute__((aligned(8)));
	struct msghdr h = {.msg_control = told_c, .msg_controllen = sizeof(told_c)};
	union inet_any to, from;
	size_t len = 0;

	if (!inet_has_v6())
		SKIP("no IPv6");
	in = inet_bound(SOCK_DGRAM, 0, "::1", 0);
	out = inet_bound(SOCK_DGRAM, 0, "::", 0);
	to = inet_of("::1", inet_port(in));
	from = inet_of("::1", inet_port(out));
	inet_set(in, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	inet_set(in, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	inet_set(out, IPPROTO_UDP, UDP_CORK, 1);
	len += put_control(c + len, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	len += put_control(c + len, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
	send_with(out, &to, c, len);
	stay_and_complete(out, in, 50, 40000, &from, &h);
	CHECK(told(&h, IPPROTO_IPV6, IPV6_HOPLIMIT) == hops, "hop limit: expected %d, got %d", hops,
		told(&h, IPPROTO_IPV6, IPV6_HOPLIMIT));
	CHECK(told(&h, IPPROTO_IPV6, IPV6_TCLASS) == tclass, "class: expected %#x, got %#x", tclass,
		told(&h, IPPROTO_IPV6, IPV6_TCLASS));
}

static void mapped(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0), out;
	union inet_any to = inet_of("::ffff:127.0.0.1", inet_port(in)), from;
	struct msghdr h = {.msg_control = NULL};

	if (!inet_has_v6())
		SKIP("no IPv6");
	out = inet_bound(SOCK_DGRAM, 0, "::", 0);
	from = inet_of("127.0.0.1", inet_port(out));
	send_piece(out, 0, 7, MSG_MORE, &to);
	stay_and_complete(out, in, 7, 19, &from, &h);
}

static void lite(void)
{
	int in = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), out;
	union inet_any at = inet_of("127.0.0.1", 0);

	if (in < 0)
		SKIP("no UDP-Lite: %s", strerror(errno));
	MUST(bind(in, &at.sa, sizeof(at.in)));
	out = inet_bound(SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1", 0);
	inet_set(out, 136, 10, 20);
	inet_set(in, 136, 11, 20);
	at = inet_of("127.0.0.1", inet_port(in));
	send_piece(out, 0, 40, MSG_MORE, &at);
	send_piece(out, 40, 90, MSG_MORE, &at);
	complete_plain(out, in, 90, 200, "127.0.0.1");
}

/* It is one for the program, and several on the wire. */
static void segments(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	int out = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	union inet_any from = inet_of("127.0.0.1", inet_port(out));
	uint16_t size = 700;
	struct msghdr h = {.msg_control = NULL};

	inet_connect(out, "127.0.0.1", inet_port(in));
	if (setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &(int){size}, sizeof(int)) < 0)
		SKIP("no UDP_SEGMENT: %s", strerror(errno));
	for (size_t i = 0; i < 3; i++)
		send_piece(out, 300 * i, 300 * i + 300, MSG_MORE, NULL);
	victim_ready();
	victim_wait();
	expect_nothing(in);
	send_piece(out, 900, 1500, 0, NULL);
	expect_one(in, 0, size, &from, &h);
	expect_one(in, size, size, &from, &h);
	expect_one(in, 2 * size, 1500 - 2 * size, &from, &h);
	expect_nothing(in);
}

/* The interface is not that of the route, should there be one. */
static void group(void)
{
	int in, out = inet_bound(SOCK_DGRAM, 0, "0.0.0.0", 0);
	int lo = (int)if_nametoindex("lo");
	char ip[32];
	union inet_any to, from = inet_of("127.0.0.1", inet_port(out));
	struct ip_mreqn m = {.imr_ifindex = lo};
	struct in_pktinfo by = {.ipi_ifindex = lo, .ipi_spec_dst = from.in.sin_addr};
	uint8_t c[100] __attribute__((aligned(8)));
	struct msghdr h = {.msg_control = NULL};

	snprintf(ip, sizeof(ip), "239.77.%d.%d", getpid() >> 8 & 255, getpid() & 255);
	in = inet_bound(SOCK_DGRAM, 0, ip, 0);
	to = inet_of(ip, inet_port(in));
	m.imr_multiaddr = to.in.sin_addr;
	if (setsockopt(in, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)) < 0)
		SKIP("no multicast: %s", strerror(errno));
	send_with(out, &to, c, put_control(c, IPPROTO_IP, IP_PKTINFO, &by, sizeof(by)));
	stay_and_complete(out, in, 50, 90, &from, &h);
}

/* A raw socket hears what others send by its protocol; ours begins with the pid. */
static void expect_raw(int fd, size_t header, size_t len)
{
	int pid = (int)getpid();
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	do {
		CHECK(poll(&p, 1, 1000) == 1, "nothing arrives");
		n = MUST(recv(fd, got, sizeof(got), MSG_DONTWAIT));
	} while (n < (ssize_t)(header + sizeof(pid)) || memcmp(got + header, &pid, sizeof(pid)));
	CHECK(n == (ssize_t)(header + len), "expected %zu bytes, got %zd", header + len, n);
	CHECK(!memcmp(got + header, data, len), "other bytes");
}

static void raw(void)
{
	int pid = (int)getpid(), in, out;
	char ip[32];

	snprintf(ip, sizeof(ip), "127.%d.%d.%d", 128 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
	in = socket(AF_INET, SOCK_RAW, PROTOCOL);
	if (in < 0)
		SKIP("no raw sockets: %s", strerror(errno));
	close(in);
	memcpy(data, &pid, sizeof(pid));
	in = inet_bound(SOCK_RAW, PROTOCOL, ip, 1);
	out = MUST(socket(AF_INET, SOCK_RAW, PROTOCOL));
	inet_connect(out, ip, 0);
	send_piece(out, 0, 70, MSG_MORE, NULL);
	send_piece(out, 70, 150, MSG_MORE, NULL);
	victim_ready();
	victim_wait();
	send_piece(out, 150, 200, 0, NULL);
	expect_raw(in, 20, 200);
}

static void raw6(void)
{
	int pid = (int)getpid(), in, out;
	union inet_any to = inet_of("::1", 0);

	if (!inet_has_v6())
		SKIP("no IPv6");
	in = socket(AF_INET6, SOCK_RAW, PROTOCOL);
	if (in < 0)
		SKIP("no raw sockets: %s", strerror(errno));
	memcpy(data, &pid, sizeof(pid));
	out = MUST(socket(AF_INET6, SOCK_RAW, PROTOCOL));
	send_piece(out, 0, 70, MSG_MORE, &to);
	send_piece(out, 70, 150, MSG_MORE, &to);
	victim_ready();
	victim_wait();
	send_piece(out, 150, 200, 0, &to);
	expect_raw(in, 0, 200);
}

static void rawany(void)
{
	int out = socket(AF_INET, SOCK_RAW, PROTOCOL), in, pid = (int)getpid();
	char ip[32];
	union inet_any to;
	ssize_t n;

	if (out < 0)
		SKIP("no raw sockets: %s", strerror(errno));
	snprintf(ip, sizeof(ip), "127.%d.%d.%d", 128 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
	in = inet_bound(SOCK_RAW, PROTOCOL, ip, 1);
	to = inet_of(ip, 0);
	send_piece(out, 0, 70, MSG_MORE, &to);
	victim_ready();
	victim_wait();
	send_piece(out, 70, 100, 0, &to);
	n = recv(in, got, sizeof(got), MSG_DONTWAIT);
	CHECK(n == 20 + 30 || n == 20 + 100, "got %zd bytes: %s", n, strerror(errno));
	CHECK(!memcmp(got + n - 30, data + 70, 30), "other bytes");
}

static void shared(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0), go[2], status;
	int out = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	union inet_any to = inet_of("127.0.0.1", inet_port(in)),
		       from = inet_of("127.0.0.1", inet_port(out));
	struct msghdr h = {.msg_control = NULL};
	pid_t child;
	char c;

	MUST(pipe(go));
	send_piece(out, 0, 40, MSG_MORE, &to);
	child = MUST(fork());
	if (!child) {
		MUST(read(go[0], &c, 1));
		send_piece(out, 40, 80, MSG_MORE, NULL);
		_exit(0);
	}
	victim_ready();
	victim_wait();
	MUST(write(go[1], "x", 1));
	MUST(waitpid(child, &status, 0));
	CHECK(status == 0, "the child ended with %#x", status);
	expect_nothing(in);
	send_piece(out, 80, 120, 0, NULL);
	expect_one(in, 0, 120, &from, &h);
	expect_nothing(in);
}

static void flight(void)
{
	int in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0), sv[2];
	int out = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	union inet_any to = inet_of("127.0.0.1", inet_port(in));
	union inet_any from = inet_of("127.0.0.1", inet_port(out));
	uint8_t c[100] __attribute__((aligned(8)));
	struct iovec iov = {c, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c}, h = {0};

	send_piece(out, 0, 40, MSG_MORE, &to);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	m.msg_controllen = put_control(c, SOL_SOCKET, SCM_RIGHTS, &out, sizeof(out));
	MUST(sendmsg(sv[0], &m, 0));
	close(out);
	victim_ready();
	victim_wait();
	expect_nothing(in);
	m.msg_controllen = sizeof(c);
	CHECK(recvmsg(sv[1], &m, 0) == 1, "recvmsg: %s", strerror(errno));
	send_piece(told(&m, SOL_SOCKET, SCM_RIGHTS), 40, 80, 0, NULL);
	expect_one(in, 0, 80, &from, &h);
	expect_nothing(in);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"cork", cork}, {"more", more}, {"empty", empty},
		{"big", big}, {"control", control}, {"six", six}, {"mapped", mapped},
		{"lite", lite}, {"segments", segments}, {"group", group}, {"raw", raw},
		{"raw6", raw6}, {"rawany", rawany}, {"shared", shared}, {"flight", flight}};

	make_data();
	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
