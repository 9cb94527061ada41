/*
 * e2e: args: connected unasked read several first six six_unasked mapped lite data data_unasked data_six ping stamps
 *
 * Holds: errors that ICMP has told of and that are not read yet. connected: of a connected socket with IP_RECVERR.
 *        unasked: without, where only the next call tells. read: the queue is full of them, but the call has told.
 *        several: of one that is not connected, by messages from several senders with numbers and quoted data. first:
 *        one has been read, so the next one is pending. six, six_unasked, mapped, lite: IPv6, IPv4 on a socket of IPv6,
 *        UDP-Lite. data, data_unasked, data_six: unread datagrams stand behind the error. ping: of a ping socket.
 *        stamps: errors with time stamps of what was sent among them, which are lost.
 * Shows: "error queue": recvmsg(MSG_ERRQUEUE) gives each in its order, with offender, numbers, quoted data and where it
 *        had been sent; SO_ERROR and the next call give the pending one, once; the datagrams are all there.
 */
#include "inet.h"
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

/* What a program is told of one error. */
struct told {
	struct sock_extended_err ee;
	union inet_any offender, to;
	uint8_t data[600];
	ssize_t len;
};

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	CHECK(poll(&p, 1, 3000) == 1 && p.revents & (events ? events : POLLERR),
		"poll: %#x does not come", events);
}

/* false: the queue is empty */
static bool next_error(int fd, struct told *t)
{
	uint8_t control[512] __attribute__((aligned(8)));
	struct iovec iov = {t->data, sizeof(t->data)};
	struct msghdr h = {.msg_name = &t->to,
		.msg_namelen = sizeof(t->to),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};

	memset(t, 0, sizeof(*t));
	t->len = recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);
	if (t->len < 0) {
		CHECK(errno == EAGAIN, "MSG_ERRQUEUE: %s", strerror(errno));
		return false;
	}
	CHECK(h.msg_flags & MSG_ERRQUEUE, "it is no error");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(sizeof(t->ee));

		if ((c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR) &&
			(c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR))
			continue;
		memcpy(&t->ee, CMSG_DATA(c), sizeof(t->ee));
		CHECK(len <= sizeof(t->offender), "an offender of %zu bytes", len);
		memcpy(&t->offender, CMSG_DATA(c) + sizeof(t->ee), len);
	}
	CHECK(t->ee.ee_errno, "it does not say which error");
	return true;
}

static bool same_ip(const union inet_any *a, const union inet_any *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr == b->in.sin_addr.s_addr
					  : !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16);
}

struct expected {
	int error, type, code;
	unsigned info;
	const char *offender, *to;
	int port;
	const void *data;
	size_t len;
};

static void expect_error(int fd, const struct expected *e)
{
	struct told t;
	union inet_any offender = inet_of(e->offender, 0), to = inet_of(e->to, e->port);

	CHECK(next_error(fd, &t), "there is no error: expected '%s'", strerror(e->error));
	CHECK((int)t.ee.ee_errno == e->error, "expected '%s', got '%s'", strerror(e->error),
		strerror((int)t.ee.ee_errno));
	CHECK(t.ee.ee_type == e->type && t.ee.ee_code == e->code, "expected %d/%d, got %d/%d",
		e->type, e->code, t.ee.ee_type, t.ee.ee_code);
	CHECK(t.ee.ee_info == e->info, "info: expected %u, got %u", e->info, t.ee.ee_info);
	CHECK(same_ip(&t.offender, &offender), "the offender is not %s", e->offender);
	CHECK(same_ip(&t.to, &to) && t.to.in.sin_port == to.in.sin_port,
		"it had not been sent to %s:%d, but port %d", e->to, e->port,
		ntohs(t.to.in.sin_port));
	CHECK(t.len == (ssize_t)e->len && !memcmp(t.data, e->data, e->len),
		"%zd other bytes, expected %zu", t.len, e->len);
}

static void expect_no_error(int fd)
{
	struct told t;
	struct pollfd p = {.fd = fd};
	int err = inet_get(fd, SOL_SOCKET, SO_ERROR);

	CHECK(!err, "there is still '%s'", strerror(err));
	CHECK(!next_error(fd, &t), "there is still an error in the queue");
	CHECK(poll(&p, 1, 0) == 0, "poll: %#x", p.revents);
}

static void expect_pending(int fd, int error)
{
	int err = inet_get(fd, SOL_SOCKET, SO_ERROR);

	CHECK(err == error, "pending: expected '%s', got '%s'", strerror(error), strerror(err));
}

/* A port of that address where nobody is, as long as the victim lives. */
static int nobody(const char *ip, int protocol)
{
	int fd = inet_bound(SOCK_DGRAM, protocol, ip, 0), port = inet_port(fd);

	close(fd);
	return port;
}

static const char *any_of(const char *ip)
{
	return strchr(ip, ':') ? (strstr(ip, "ffff") ? "::ffff:127.0.0.1" : "::1") : "127.0.0.1";
}

/* One that has sent @what to a port where nobody is. */
static int refused(const char *ip, int protocol, bool asks, const char *what, int *ret_port)
{
	int fd = inet_bound(SOCK_DGRAM, protocol, any_of(ip), 0);
	bool six = strchr(ip, ':') && !strstr(ip, "ffff");

	*ret_port = nobody(ip, protocol);
	if (asks)
		inet_set(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, 1);
	inet_connect(fd, ip, *ret_port);
	MUST(send(fd, what, strlen(what), 0));
	wait_for(fd, 0);
	return fd;
}

static struct expected refusal(const char *ip, int port, const char *what)
{
	bool six = strchr(ip, ':') && !strstr(ip, "ffff");

	return (struct expected){ECONNREFUSED, six ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH,
		six ? ICMP6_DST_UNREACH_NOPORT : ICMP_PORT_UNREACH, 0, ip, ip, port, what,
		strlen(what)};
}

static void asked(const char *ip, int protocol)
{
	int port, fd = refused(ip, protocol, true, "anybody there?", &port);
	struct expected e = refusal(ip, port, "anybody there?");

	victim_ready();
	victim_wait();
	expect_pending(fd, ECONNREFUSED);
	expect_pending(fd, 0);
	expect_error(fd, &e);
	expect_no_error(fd);
}

static void unasked_of(const char *ip)
{
	char c;
	int port, fd = refused(ip, 0, false, "anybody there?", &port);

	victim_ready();
	victim_wait();
	CHECK(recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno == ECONNREFUSED, "recv: %s",
		strerror(errno));
	expect_no_error(fd);
	/* and it works as ever: it does not ask for errors */
	MUST(send(fd, "?", 1, 0));
	wait_for(fd, 0);
	expect_pending(fd, ECONNREFUSED);
	expect_no_error(fd);
}

static void connected(void)
{
	asked("127.0.0.1", 0);
}

static void unasked(void)
{
	unasked_of("127.0.0.1");
}

static void read_case(void)
{
	int port, fd = refused("127.0.0.1", 0, true, "anybody there?", &port);
	struct expected e = refusal("127.0.0.1", port, "anybody there?");

	expect_pending(fd, ECONNREFUSED);
	victim_ready();
	victim_wait();
	expect_pending(fd, 0);
	expect_error(fd, &e);
	expect_no_error(fd);
}

/* ---- messages of our own ---- */

static uint16_t sum_of(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : p[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

/* @e says what the message is; of ping its data begin with the header of what was sent. */
static void tell(int protocol, int from_port, const struct expected *e)
{
	size_t header = protocol == IPPROTO_ICMP ? 8 : 0;
	struct {
		struct iphdr outer;
		struct icmphdr icmp;
		struct iphdr quoted;
		struct udphdr udp;
		uint8_t data[200];
	} __attribute__((packed)) p = {.outer = {.version = 4, .ihl = 5, .ttl = 60}};
	union inet_any here = inet_of("127.0.0.1", 0), offender = inet_of(e->offender, 0),
		       to = inet_of(e->to, e->port);
	size_t len = sizeof(p) - sizeof(p.data) + e->len - header;
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (raw < 0)
		SKIP("no raw sockets: %s", strerror(errno));
	p.outer.protocol = IPPROTO_ICMP;
	p.outer.saddr = offender.in.sin_addr.s_addr;
	p.outer.daddr = here.in.sin_addr.s_addr;
	p.icmp.type = (uint8_t)e->type;
	p.icmp.code = (uint8_t)e->code;
	if (e->type == ICMP_PARAMETERPROB)
		p.icmp.un.gateway = htonl(e->info << 24);
	else
		p.icmp.un.frag.mtu = htons((uint16_t)e->info);
	p.quoted = (struct iphdr){.version = 4, .ihl = 5, .ttl = 1};
	p.quoted.protocol = (uint8_t)protocol;
	p.quoted.tot_len = htons((uint16_t)(28 + e->len - header));
	p.quoted.saddr = here.in.sin_addr.s_addr;
	p.quoted.daddr = to.in.sin_addr.s_addr;
	p.udp.source = htons((uint16_t)from_port);
	p.udp.dest = to.in.sin_port;
	p.udp.len = htons((uint16_t)(8 + e->len));
	if (header)
		memcpy(&p.udp, e->data, header);
	memcpy(p.data, (const char *)e->data + header, e->len - header);
	p.icmp.checksum = sum_of(&p.icmp, len - sizeof(p.outer));
	CHECK(sendto(raw, &p, len, 0, &here.sa, sizeof(here.in)) == (ssize_t)len, "sendto: %s",
		strerror(errno));
	close(raw);
}

/* Those of several(): no two are alike. The addresses of TEST-NET are nobody's. */
static const struct expected many[] = {
	{EHOSTUNREACH, ICMP_TIME_EXCEEDED, 0, 0, "192.0.2.1", "198.51.100.7", 4001, "one", 3},
	{EHOSTUNREACH, ICMP_TIME_EXCEEDED, 0, 0, "192.0.2.2", "198.51.100.7", 4002, "two", 3},
	{EMSGSIZE, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1400, "192.0.2.3", "198.51.100.8", 4003,
		"three is longer", 15},
	{EPROTO, ICMP_PARAMETERPROB, 0, 20, "192.0.2.4", "198.51.100.9", 4004, "", 0},
	{EACCES, 0, 0, 0, NULL, NULL, 0, NULL, 0},
};
#define N_MANY (sizeof(many) / sizeof(*many) - 1)

static int told_many(void)
{
	int fd = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);

	inet_set(fd, IPPROTO_IP, IP_RECVERR, 1);
	inet_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	for (size_t i = 0; i < N_MANY; i++) {
		tell(IPPROTO_UDP, inet_port(fd), &many[i]);
		wait_for(fd, 0);
	}
	return fd;
}

static void several(void)
{
	int fd = told_many();

	victim_ready();
	victim_wait();
	expect_pending(fd, EPROTO);
	for (size_t i = 0; i < N_MANY; i++)
		expect_error(fd, &many[i]);
	expect_no_error(fd);
}

static void first(void)
{
	int fd = told_many();

	expect_error(fd, &many[0]);
	victim_ready();
	victim_wait();
	expect_pending(fd, EHOSTUNREACH);
	for (size_t i = 1; i < N_MANY; i++)
		expect_error(fd, &many[i]);
	expect_no_error(fd);
}

/* ---- other sockets ---- */

static void six(void)
{
	if (!inet_has_v6())
		SKIP("no IPv6");
	asked("::1", 0);
}

static void six_unasked(void)
{
	if (!inet_has_v6())
		SKIP("no IPv6");
	unasked_of("::1");
}

static void mapped(void)
{
	int port, fd;
	struct told t;
	union inet_any a = inet_of("::ffff:127.0.0.1", 0);

	if (!inet_has_v6())
		SKIP("no IPv6");
	fd = refused("::ffff:127.0.0.1", 0, true, "anybody there?", &port);
	victim_ready();
	victim_wait();
	expect_pending(fd, ECONNREFUSED);
	CHECK(next_error(fd, &t), "there is no error");
	CHECK(t.ee.ee_errno == ECONNREFUSED && t.ee.ee_origin == SO_EE_ORIGIN_ICMP, "another");
	CHECK(same_ip(&t.offender, &a) && same_ip(&t.to, &a), "other addresses");
	CHECK(ntohs(t.to.in6.sin6_port) == port, "another port");
	expect_no_error(fd);
}

static void lite(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);

	if (fd < 0)
		SKIP("no UDP-Lite: %s", strerror(errno));
	close(fd);
	asked("127.0.0.1", IPPROTO_UDPLITE);
}

/* ---- unread datagrams ---- */

#define N_DATA 5

/* Of several lengths, from two senders. */
static size_t fill(int i, uint8_t *data)
{
	static const size_t lens[N_DATA] = {10, 0, 3000, 1, 40000};

	for (size_t k = 0; k < lens[i]; k++)
		data[k] = fds_byte(i, (long long)k);
	return lens[i];
}

static void with_data(const char *ip, bool asks)
{
	static uint8_t data[40000], got[50000];
	int fd = inet_bound(SOCK_DGRAM, 0, ip, 0);
	int peer = inet_bound(SOCK_DGRAM, 0, ip, 0), port = inet_port(peer);
	struct expected e = refusal(ip, port, "gone?");
	union inet_any from = inet_of(ip, 0);
	socklen_t len = sizeof(from);

	if (asks && from.sa.sa_family == AF_INET6)
		inet_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	else if (asks)
		inet_set(fd, IPPROTO_IP, IP_RECVERR, 1);
	inet_connect(fd, ip, port);
	inet_connect(peer, ip, inet_port(fd));
	for (int i = 0; i < N_DATA; i++)
		MUST(send(peer, data, fill(i, data), 0));
	wait_for(fd, POLLIN);
	close(peer);
	MUST(send(fd, "gone?", 5, 0));
	wait_for(fd, POLLERR);
	victim_ready();
	victim_wait();
	CHECK(recv(fd, got, sizeof(got), MSG_DONTWAIT) == -1 && errno == ECONNREFUSED, "recv: %s",
		strerror(errno));
	for (int i = 0; i < N_DATA; i++) {
		size_t want = fill(i, data);
		ssize_t n;

		len = sizeof(from);
		n = recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, &from.sa, &len);
		CHECK(n == (ssize_t)want, "datagram %d: %zd bytes (%s), expected %zu", i, n,
			strerror(errno), want);
		CHECK(!memcmp(got, data, want), "datagram %d has other bytes", i);
		CHECK(ntohs(from.in.sin_port) == port, "datagram %d has another sender", i);
	}
	CHECK(recv(fd, got, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "one more datagram");
	if (asks)
		expect_error(fd, &e);
	expect_no_error(fd);
}

static void data(void)
{
	with_data("127.0.0.1", true);
}

static void data_unasked(void)
{
	with_data("127.0.0.1", false);
}

static void data_six(void)
{
	if (!inet_has_v6())
		SKIP("no IPv6");
	with_data("::1", true);
}

/* ---- ping sockets ---- */

static void ping(void)
{
	union inet_any a = inet_of("127.0.0.1", 0);
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	struct {
		struct icmphdr head;
		char data[4];
	} sent = {{.type = ICMP_ECHO}, "ping"};
	struct expected e = {EHOSTUNREACH, ICMP_TIME_EXCEEDED, 0, 0, "192.0.2.1", "198.51.100.7", 0,
		&sent, sizeof(sent)};

	if (fd < 0)
		SKIP("sysctl net.ipv4.ping_group_range does not allow it: %s", strerror(errno));
	MUST(bind(fd, &a.sa, sizeof(a.in)));
	inet_set(fd, IPPROTO_IP, IP_RECVERR, 1);
	sent.head.un.echo.id = htons((uint16_t)inet_port(fd));
	tell(IPPROTO_ICMP, 0, &e);
	wait_for(fd, 0);
	victim_ready();
	victim_wait();
	expect_pending(fd, EHOSTUNREACH);
	expect_error(fd, &e);
	expect_no_error(fd);
}

/* ---- what is lost ---- */

static void stamps(void)
{
	int port, fd = refused("127.0.0.1", 0, true, "anybody there?", &port), in;
	struct expected e = refusal("127.0.0.1", port, "anybody there?");
	unsigned what = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	union inet_any a;
	struct told t;
	bool again;

	expect_pending(fd, ECONNREFUSED);
	in = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
	a = inet_of("127.0.0.1", inet_port(in));
	MUST(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof(what)));
	MUST(sendto(fd, "abc", 3, 0, &a.sa, sizeof(a.in)));
	victim_ready();
	victim_wait();
	expect_pending(fd, 0);
	expect_error(fd, &e);
	again = next_error(fd, &t); /* a program that went on has it still */
	CHECK(!again || t.ee.ee_origin == SO_EE_ORIGIN_TIMESTAMPING, "another error");
	expect_no_error(fd);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"connected", connected}, {"unasked", unasked},
		{"read", read_case}, {"several", several}, {"first", first}, {"six", six},
		{"six_unasked", six_unasked}, {"mapped", mapped}, {"lite", lite}, {"data", data},
		{"data_unasked", data_unasked}, {"data_six", data_six}, {"ping", ping},
		{"stamps", stamps}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
