/*
 * e2e: args: plain queue queue6 empty seen wildcard multicast reuseport lite shut gro many
 * e2e: no again,late,faults for empty: an empty datagram that was peeked at is hidden from the next dump
 *
 * Holds: plain: UDP sockets that are new, bound to an address, to any, connected, connected from any
 *        port, of IPv4, IPv6 and both, of another user; each in a state of its own.
 *        queue, queue6: datagrams that are not read, a large one, of several senders, one from before the
 *        socket was connected; empty: some without data; wildcard: of a socket that is bound to any address,
 *        and is told to which a datagram came, its time to live and type of service.
 *        multicast: groups on an interface, with sources that are let in or kept out.
 *        reuseport: four sockets on one port, and in each queue what had come to it.
 *        lite: UDP-Lite with partial checksums. shut: one that is shut for reading, writing, both.
 *        gro: several datagrams that came as one. many: 2000 sockets.
 * Shows: UDP servers and clients come back with what was sent to them.
 */
#include "inet.h"
#include <linux/udp.h>
#include <net/if.h>
#include <sys/resource.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static void send_to(int fd, const void *data, size_t len, const char *ip, int port)
{
	union inet_any a = inet_of(ip, port);

	CHECK(sendto(fd, data, len, 0, &a.sa, inet_len(&a)) == (ssize_t)len, "sendto %s: %s", ip,
		strerror(errno));
}

/* The next datagram is this one, from there; port 0: whatever port. */
static void expect_datagram(int fd, const void *data, size_t len, const char *ip, int port)
{
	static char buf[70000];
	union inet_any want = inet_of(ip, port), from;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	socklen_t alen = sizeof(from);
	ssize_t n;

	poll(&p, 1, 1000); /* what was sent just now may take a moment */
	memset(&from, 0, sizeof(from));
	n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &alen);
	CHECK(n == (ssize_t)len, "a datagram of %zu bytes: got %zd (%s)", len, n, strerror(errno));
	CHECK(!memcmp(buf, data, len), "a datagram of %zu bytes has other bytes", len);
	if (!port)
		want.in.sin_port = from.in.sin_port;
	CHECK(!memcmp(&from, &want, inet_len(&want)), "it is not from %s %d, but port %d", ip, port,
		ntohs(from.in.sin_port));
}

static void expect_empty(int fd)
{
	char c;

	CHECK(recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "there is one more: %s",
		strerror(errno));
}

static void plain(void)
{
	struct inet_view was[12];
	int fd[12], n = 0, server = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);

	fd[n++] = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	fd[n++] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	fd[n++] = inet_bound(SOCK_DGRAM, 0, "0.0.0.0", 0);
	fd[n++] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	inet_connect(fd[n - 1], "127.0.0.1", inet_port(server));
	fd[n++] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	inet_connect(fd[n - 1], "127.0.0.2", inet_port(server));
	fd[n++] = inet_bound(SOCK_DGRAM, 0, "127.0.0.3", 0);
	MUST(fchown(fd[n - 1], 1234, 5678));
	if (inet_has_v6()) {
		fd[n++] = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
		fd[n++] = inet_bound(SOCK_DGRAM, 0, "::", 0);
		fd[n++] = inet_bound(SOCK_DGRAM, 0, "::1", 0);
		inet_connect(fd[n - 1], "::1", 9);
		fd[n++] = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
		inet_connect(fd[n - 1], "::ffff:127.0.0.1", inet_port(server));
	}
	for (int i = 0; i < n; i++)
		inet_view(fd[i], &was[i]);
	victim_ready();
	victim_wait();
	for (int i = 0; i < n; i++) {
		char what[16];

		snprintf(what, sizeof(what), "socket %d", i);
		inet_expect(fd[i], &was[i], what);
	}
	/* they still lead there */
	CHECK(send(fd[3], "ping", 4, 0) == 4, "send: %s", strerror(errno));
	expect_datagram(server, "ping", 4, "127.0.0.1", inet_port(fd[3]));
	send_to(server, "pong", 4, "127.0.0.1", inet_port(fd[3]));
	expect_datagram(fd[3], "pong", 4, "127.0.0.1", inet_port(server));
	if (n > 6) {
		CHECK(send(fd[n - 1], "six", 3, 0) == 3, "send: %s", strerror(errno));
		expect_datagram(server, "six", 3, "127.0.0.1", inet_port(fd[n - 1]));
	}
}

/* A large one, and one that came before the socket was connected. */
static void queue_of(const char *ip, const char *other)
{
	static char big[60000];
	int a = inet_bound(SOCK_DGRAM, 0, ip, 0), b = inet_bound(SOCK_DGRAM, 0, other, 0);
	int to = inet_bound(SOCK_DGRAM, 0, ip, 0), conn = inet_bound(SOCK_DGRAM, 0, ip, 0);
	int off;

	inet_set(to, SOL_SOCKET, SO_RCVBUF, 400000);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = fds_byte(7, (long long)i);
	send_to(a, "one", 3, ip, inet_port(to));
	send_to(b, big, sizeof(big), ip, inet_port(to));
	send_to(a, "two", 3, ip, inet_port(to));
	send_to(a, "early", 5, ip, inet_port(conn));
	inet_connect(conn, other, inet_port(b));
	send_to(b, "late", 4, ip, inet_port(conn));
	victim_ready();
	victim_wait();
	off = inet_get(to, SOL_SOCKET, SO_PEEK_OFF);
	CHECK(off == -1, "SO_PEEK_OFF: expected -1, got %d", off);
	expect_datagram(to, "one", 3, ip, inet_port(a));
	expect_datagram(to, big, sizeof(big), other, inet_port(b));
	expect_datagram(to, "two", 3, ip, inet_port(a));
	expect_empty(to);
	expect_datagram(conn, "early", 5, ip, inet_port(a));
	expect_datagram(conn, "late", 4, other, inet_port(b));
	expect_empty(conn);
	send_to(a, "more", 4, ip, inet_port(to));
	expect_datagram(to, "more", 4, ip, inet_port(a));
}

static void queue(void)
{
	queue_of("127.0.0.1", "127.9.8.7");
}

static void queue6(void)
{
	if (!inet_has_v6())
		SKIP("no IPv6");
	queue_of("::1", "::1");
}

static void empty(void)
{
	int a = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0),
	    to = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);

	send_to(a, "", 0, "127.0.0.1", inet_port(to));
	send_to(a, "x", 1, "127.0.0.1", inet_port(to));
	send_to(a, "", 0, "127.0.0.1", inet_port(to));
	victim_ready();
	victim_wait();
	expect_datagram(to, "", 0, "127.0.0.1", inet_port(a));
	expect_datagram(to, "x", 1, "127.0.0.1", inet_port(a));
	expect_datagram(to, "", 0, "127.0.0.1", inet_port(a));
	expect_empty(to);
}

/* The program has looked at the first itself, from which on the kernel passes it over. */
static void seen(void)
{
	int a = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0), to[2];

	for (int i = 0; i < 2; i++) {
		to[i] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
		send_to(a, "", 0, "127.0.0.1", inet_port(to[i]));
		if (i)
			send_to(a, "x", 1, "127.0.0.1", inet_port(to[i]));
		CHECK(recv(to[i], (char[1]){0}, 1, MSG_PEEK) == 0, "it is not empty");
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 2; i++) {
		expect_datagram(to[i], "", 0, "127.0.0.1", inet_port(a));
		if (i)
			expect_datagram(to[i], "x", 1, "127.0.0.1", inet_port(a));
		expect_empty(to[i]);
	}
}

struct told {
	int ttl, tos;
	struct in_addr to;
};

static void expect_told(int fd, const char *data, const struct told *want)
{
	char buf[100], control[200];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct told got = {0};
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT);

	CHECK(n == (ssize_t)strlen(data) && !memcmp(buf, data, n),
		"expected '%s', got %zd bytes (%s)", data, n, strerror(errno));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_type == IP_TTL)
			got.ttl = *(int *)CMSG_DATA(c);
		if (c->cmsg_type == IP_TOS)
			got.tos = *(unsigned char *)CMSG_DATA(c);
		if (c->cmsg_type == IP_PKTINFO)
			got.to = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr;
	}
	CHECK(got.ttl == want->ttl && got.tos == want->tos && got.to.s_addr == want->to.s_addr,
		"'%s': expected ttl %d, tos %d, to %#x; got %d, %d, %#x", data, want->ttl,
		want->tos, want->to.s_addr, got.ttl, got.tos, got.to.s_addr);
}

static void wildcard(void)
{
	int to = inet_bound(SOCK_DGRAM, 0, "0.0.0.0", 0),
	    from = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct told first = {17, 0x10, {0}}, second = {99, 0, {0}};

	first.to = inet_of("127.0.0.5", 0).in.sin_addr;
	second.to = inet_of("127.6.6.6", 0).in.sin_addr;
	inet_set(to, IPPROTO_IP, IP_PKTINFO, 1);
	inet_set(to, IPPROTO_IP, IP_RECVTTL, 1);
	inet_set(to, IPPROTO_IP, IP_RECVTOS, 1);
	inet_set(from, IPPROTO_IP, IP_TTL, first.ttl);
	inet_set(from, IPPROTO_IP, IP_TOS, first.tos);
	send_to(from, "first", 5, "127.0.0.5", inet_port(to));
	inet_set(from, IPPROTO_IP, IP_TTL, second.ttl);
	inet_set(from, IPPROTO_IP, IP_TOS, second.tos);
	send_to(from, "second", 6, "127.6.6.6", inet_port(to));
	victim_ready();
	victim_wait();
	expect_told(to, "first", &first);
	expect_told(to, "second", &second);
	expect_empty(to);
}

/* What a socket says of a group: the mode, and how many sources. */
static void expect_group(int fd, const char *group, int mode, int n_sources, const char *source)
{
	char room[GROUP_FILTER_SIZE(8)];
	struct group_filter *f = (void *)room;
	union inet_any g = inet_of(group, 0), s;
	socklen_t len = sizeof(room);
	int level = g.sa.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;

	memset(room, 0, sizeof(room));
	f->gf_interface = if_nametoindex("lo");
	memcpy(&f->gf_group, &g, sizeof(g));
	f->gf_numsrc = 8;
	CHECK(getsockopt(fd, level, MCAST_MSFILTER, f, &len) == 0, "%s: it is no member: %s", group,
		strerror(errno));
	CHECK((int)f->gf_fmode == mode && (int)f->gf_numsrc == n_sources,
		"%s: expected mode %d, %d sources; got %u, %u", group, mode, n_sources, f->gf_fmode,
		f->gf_numsrc);
	if (source) {
		s = inet_of(source, 0);
		CHECK(!memcmp(&((struct sockaddr_in *)&f->gf_slist[0])->sin_addr, &s.in.sin_addr,
			      4) ||
				s.sa.sa_family == AF_INET6,
			"%s: another source", group);
	}
}

static void join(int fd, int name, const char *group, const char *source)
{
	struct group_source_req r = {.gsr_interface = if_nametoindex("lo")};
	struct group_req whole = {.gr_interface = r.gsr_interface};
	union inet_any g = inet_of(group, 0), s;
	int level = g.sa.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, err;

	memcpy(&r.gsr_group, &g, sizeof(g));
	memcpy(&whole.gr_group, &g, sizeof(g));
	if (source) {
		s = inet_of(source, 0);
		memcpy(&r.gsr_source, &s, sizeof(s));
		err = setsockopt(fd, level, name, &r, sizeof(r));
	} else {
		err = setsockopt(fd, level, name, &whole, sizeof(whole));
	}
	CHECK(err == 0, "%s: %s", group, strerror(errno));
}

static void multicast(void)
{
	int fd = inet_bound(SOCK_DGRAM, 0, "0.0.0.0", 0),
	    none = inet_bound(SOCK_DGRAM, 0, "0.0.0.0", 0);
	int fd6 = inet_has_v6() ? inet_bound(SOCK_DGRAM, 0, "::", 0) : -1;
	struct in_addr lo = inet_of("127.0.0.1", 0).in.sin_addr;
	char room[GROUP_FILTER_SIZE(8)];
	struct group_filter *f = (void *)room;
	union inet_any g = inet_of("239.77.1.1", 0);
	socklen_t len = sizeof(room);

	join(fd, MCAST_JOIN_GROUP, "239.77.1.1", NULL);
	join(fd, MCAST_JOIN_GROUP, "239.77.1.2", NULL);
	join(fd, MCAST_BLOCK_SOURCE, "239.77.1.2", "10.9.8.7");
	join(fd, MCAST_JOIN_SOURCE_GROUP, "232.77.1.3", "127.0.0.1");
	join(fd, MCAST_JOIN_SOURCE_GROUP, "232.77.1.3", "10.9.8.6");
	MUST(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	if (fd6 >= 0) {
		join(fd6, MCAST_JOIN_GROUP, "ff15::77", NULL);
		join(fd6, MCAST_JOIN_SOURCE_GROUP, "ff35::78", "fd00::1");
	}
	victim_ready();
	victim_wait();
	expect_group(fd, "239.77.1.1", MCAST_EXCLUDE, 0, NULL);
	expect_group(fd, "239.77.1.2", MCAST_EXCLUDE, 1, "10.9.8.7");
	expect_group(fd, "232.77.1.3", MCAST_INCLUDE, 2, NULL);
	if (fd6 >= 0) {
		expect_group(fd6, "ff15::77", MCAST_EXCLUDE, 0, NULL);
		expect_group(fd6, "ff35::78", MCAST_INCLUDE, 1, NULL);
	}
	memset(room, 0, sizeof(room));
	f->gf_interface = if_nametoindex("lo");
	memcpy(&f->gf_group, &g, sizeof(g));
	CHECK(getsockopt(none, IPPROTO_IP, MCAST_MSFILTER, f, &len) == -1,
		"another socket has become a member");
	/* what is sent to the group arrives */
	send_to(fd, "all", 3, "239.77.1.1", inet_port(fd));
	usleep(1000);
	expect_datagram(fd, "all", 3, "127.0.0.1", inet_port(fd));
	send_to(fd, "in", 2, "232.77.1.3", inet_port(fd));
	usleep(1000);
	expect_datagram(fd, "in", 2, "127.0.0.1", inet_port(fd));
}

static void reuseport(void)
{
	int fd[4], from[40], port = 0, had[40];
	char text[16];

	for (int i = 0; i < 4; i++) {
		union inet_any a = inet_of("127.0.0.1", port);

		fd[i] = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
		inet_set(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
		MUST(bind(fd[i], &a.sa, sizeof(a.in)));
		port = inet_port(fd[i]);
	}
	for (int i = 0; i < 40; i++) {
		from[i] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
		snprintf(text, sizeof(text), "%d", i);
		send_to(from[i], text, strlen(text), "127.0.0.1", port);
	}
	/* who has got what, looked at without taking it: only the first of each */
	for (int i = 0; i < 4; i++) {
		ssize_t n = recv(fd[i], text, sizeof(text) - 1, MSG_PEEK);

		text[n < 0 ? 0 : n] = 0;
		had[i] = n < 0 ? -1 : atoi(text);
	}
	victim_ready();
	victim_wait();
	for (int i = 0, total = 0; i < 4; i++) {
		ssize_t n = 0;
		int last = -1;

		for (int k = 0; (n = recv(fd[i], text, sizeof(text) - 1, 0)) >= 0; k++, total++) {
			text[n] = 0;
			CHECK(k || atoi(text) == had[i], "socket %d: expected %d first, got %s", i,
				had[i], text);
			CHECK(atoi(text) > last, "socket %d: %s after %d", i, text, last);
			last = atoi(text);
		}
		CHECK(i < 3 || total == 40, "expected 40 datagrams, got %d", total);
		CHECK(inet_port(fd[i]) == port, "another port");
	}
}

static void lite(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), b;
	union inet_any at = inet_of("127.0.0.1", 0);

	if (a < 0)
		SKIP("no UDP-Lite: %s", strerror(errno));
	MUST(bind(a, &at.sa, sizeof(at.in)));
	b = inet_bound(SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1", 0);
	inet_set(b, 136, 10, 20);
	inet_set(a, 136, 11, 8);
	send_to(b, "covered in part", 15, "127.0.0.1", inet_port(a));
	victim_ready();
	victim_wait();
	CHECK(inet_get(b, 136, 10) == 20 && inet_get(a, 136, 11) == 8, "another coverage");
	expect_datagram(a, "covered in part", 15, "127.0.0.1", inet_port(b));
	send_to(b, "again", 5, "127.0.0.1", inet_port(a));
	expect_datagram(a, "again", 5, "127.0.0.1", inet_port(b));
}

static void shut(void)
{
	int fd[3], server = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	static const int how[3] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
	struct inet_view was[3];

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		fd[i] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
		inet_connect(fd[i], "127.0.0.1", inet_port(server));
		MUST(shutdown(fd[i], how[i]));
		inet_view(fd[i], &was[i]);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++) {
		char what[16];
		ssize_t n;

		snprintf(what, sizeof(what), "shut %d", i);
		inet_expect(fd[i], &was[i], what);
		n = send(fd[i], "x", 1, 0);
		CHECK(how[i] == SHUT_RD ? n == 1 : n == -1 && errno == EPIPE, "%s: send: %zd %s",
			what, n, strerror(errno));
	}
}

static void gro(void)
{
	int to = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0),
	    from = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	static char data[5000], got[70000];
	int one = 1;
	size_t have = 0;

	if (setsockopt(to, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)) < 0)
		SKIP("no UDP_GRO: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = fds_byte(3, (long long)i);
	inet_set(from, IPPROTO_UDP, UDP_SEGMENT, 1200);
	send_to(from, data, sizeof(data), "127.0.0.1", inet_port(to));
	victim_ready();
	victim_wait();
	CHECK(inet_get(to, IPPROTO_UDP, UDP_GRO) == 1, "UDP_GRO is off");
	CHECK(inet_get(from, IPPROTO_UDP, UDP_SEGMENT) == 1200, "UDP_SEGMENT is %d",
		inet_get(from, IPPROTO_UDP, UDP_SEGMENT));
	while (have < sizeof(data)) {
		ssize_t n = recv(to, got + have, sizeof(got) - have, MSG_DONTWAIT);

		CHECK(n > 0, "%zu bytes are missing: %s", sizeof(data) - have, strerror(errno));
		have += n;
	}
	CHECK(have == sizeof(data) && !memcmp(data, got, have), "other bytes");
	expect_empty(to);
}

static void many(void)
{
	static struct inet_view was[2000];
	struct rlimit rl = {4096, 4096};
	char ip[32];
	int fd[2000];

	snprintf(ip, sizeof(ip), "127.%d.%d.%d", 1 + getpid() / 62500 % 250,
		1 + getpid() / 250 % 250, 1 + getpid() % 250);
	MUST(setrlimit(RLIMIT_NOFILE, &rl));
	for (int i = 0; i < 2000; i++) {
		fd[i] = inet_bound(SOCK_DGRAM, 0, ip, 5000 + i);
		if (i % 2)
			inet_connect(fd[i], "127.0.0.1", 9);
		inet_view(fd[i], &was[i]);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 2000; i++)
		inet_expect(fd[i], &was[i], "one of many");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"plain", plain},
		{"queue", queue},
		{"queue6", queue6},
		{"empty", empty},
		{"seen", seen},
		{"wildcard", wildcard},
		{"multicast", multicast},
		{"reuseport", reuseport},
		{"lite", lite},
		{"shut", shut},
		{"gro", gro},
		{"many", many},
	};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
