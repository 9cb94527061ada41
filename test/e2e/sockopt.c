/*
 * e2e: args: socket ip ipv6 udp raw packet netlink unix tcp sizes stamps filter
 *
 * Holds: sockets with each of the options that socket(7), ip(7), ipv6(7), udp(7), raw(7), packet(7) and
 *        netlink(7) name, at a value that a new socket has not, each option in a socket of its own and all that go
 *        together in one. sizes: buffers of a set size, and one that may grow again. stamps: the four kinds of
 *        time stamps, old and new. filter: a classic filter, and one that is locked.
 * Shows: "socket options of SOL_SOCKET, IP, IPv6 all round-tripped by a table; classic filters".
 */
#include "inet.h"
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in6.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <sys/time.h>

/* One option: what is set, and what is told of it, which is not always the same. */
struct opt {
	const char *name;
	int level, opt;
	size_t len;
	const void *value;
	int told; /* of an int; 0: what was set */
	int only; /* a type of socket; 0: any */
};

#define INT(level, opt, n)                                                                         \
	{                                                                                          \
#opt, level, opt, 4, &(const int){n }, 0, 0                                        \
	}
#define TOLD(level, opt, n, told)                                                                  \
	{                                                                                          \
#opt, level, opt, 4, &(const int){n }, told, 0                                     \
	}
#define ANY(level, opt, type, ...)                                                                 \
	{                                                                                          \
#opt, level, opt, sizeof(type), &(const type)__VA_ARGS__, 0, 0                     \
	}
#define TEXT(level, opt, text)                                                                     \
	{                                                                                          \
#opt, level, opt, sizeof(text), text, 0, 0                                         \
	}

struct bytes8 {
	unsigned char b[8];
};

static const struct opt sock_opts[] = {
	INT(SOL_SOCKET, SO_DEBUG, 1),
	INT(SOL_SOCKET, SO_REUSEADDR, 1),
	INT(SOL_SOCKET, SO_REUSEPORT, 1),
	INT(SOL_SOCKET, SO_DONTROUTE, 1),
	INT(SOL_SOCKET, SO_BROADCAST, 1),
	INT(SOL_SOCKET, SO_KEEPALIVE, 1),
	INT(SOL_SOCKET, SO_OOBINLINE, 1),
	INT(SOL_SOCKET, SO_NO_CHECK, 1),
	INT(SOL_SOCKET, SO_PRIORITY, 5),
	INT(SOL_SOCKET, SO_RCVLOWAT, 7),
	INT(SOL_SOCKET, SO_MARK, 0x77),
	INT(SOL_SOCKET, SO_RXQ_OVFL, 1),
	INT(SOL_SOCKET, SO_PEEK_OFF, 0x10),
	INT(SOL_SOCKET, SO_NOFCS, 1),
	INT(SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1),
	INT(SOL_SOCKET, SO_BUSY_POLL, 50),
	INT(SOL_SOCKET, 69 /* SO_PREFER_BUSY_POLL */, 1),
	INT(SOL_SOCKET, SO_INCOMING_CPU, 1),
	INT(SOL_SOCKET, SO_ZEROCOPY, 1),
	INT(SOL_SOCKET, 75 /* SO_RCVMARK */, 1),
	INT(SOL_SOCKET, 82 /* SO_RCVPRIORITY */, 1),
	ANY(SOL_SOCKET, SO_LINGER, struct linger, {1, 9}),
	ANY(SOL_SOCKET, SO_RCVTIMEO, struct timeval, {2, 500000}),
	ANY(SOL_SOCKET, SO_SNDTIMEO, struct timeval, {3, 500000}),
	ANY(SOL_SOCKET, SO_MAX_PACING_RATE, unsigned long, {10000000000}),
	ANY(SOL_SOCKET, SO_TXTIME, struct bytes8, {{11, 0, 0, 0, 1, 0, 0, 0}}), /* CLOCK_TAI */
	TEXT(SOL_SOCKET, SO_BINDTODEVICE, "lo"),
};

static const struct opt ip_opts[] = {
	INT(IPPROTO_IP, IP_TOS, 0x10), INT(IPPROTO_IP, IP_TTL, 33), INT(IPPROTO_IP, IP_RECVOPTS, 1),
	INT(IPPROTO_IP, IP_RETOPTS, 1), INT(IPPROTO_IP, IP_PKTINFO, 1),
	INT(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE), INT(IPPROTO_IP, IP_RECVERR, 1),
	INT(IPPROTO_IP, IP_RECVTTL, 1), INT(IPPROTO_IP, IP_RECVTOS, 1),
	INT(IPPROTO_IP, IP_RECVORIGDSTADDR, 1), INT(IPPROTO_IP, 25 /* IP_RECVFRAGSIZE */, 1),
	INT(IPPROTO_IP, 23 /* IP_CHECKSUM */, 1), INT(IPPROTO_IP, IP_PASSSEC, 1),
	INT(IPPROTO_IP, IP_MINTTL, 12), INT(IPPROTO_IP, IP_FREEBIND, 1),
	INT(IPPROTO_IP, IP_TRANSPARENT, 1), INT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
	INT(IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, (int)(50000U << 16 | 40000)),
	INT(IPPROTO_IP, IP_MULTICAST_TTL, 9), TOLD(IPPROTO_IP, IP_MULTICAST_LOOP, 0, -1),
	TOLD(IPPROTO_IP, IP_MULTICAST_ALL, 0, -1), INT(IPPROTO_IP, 26 /* IP_RECVERR_RFC4884 */, 1),
	ANY(IPPROTO_IP, IP_MULTICAST_IF, struct in_addr, {0x0100007f}),
	ANY(IPPROTO_IP, IP_OPTIONS, struct bytes8, {{7, 7, 4}}),
	ANY(IPPROTO_IP, IP_UNICAST_IF, struct in_addr, {0x01000000}), /* interface 1 */
};

static const struct opt ipv6_opts[] = {
	INT(IPPROTO_IPV6, IPV6_V6ONLY, 1),
	INT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44),
	INT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 4),
	TOLD(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, -1),
	TOLD(IPPROTO_IPV6, 29 /* IPV6_MULTICAST_ALL */, 0, -1),
	INT(IPPROTO_IPV6, IPV6_MULTICAST_IF, 1),
	INT(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2),
	INT(IPPROTO_IPV6, IPV6_DONTFRAG, 1),
	INT(IPPROTO_IPV6, IPV6_RECVERR, 1),
	INT(IPPROTO_IPV6, 31 /* IPV6_RECVERR_RFC4884 */, 1),
	INT(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1),
	INT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1),
	INT(IPPROTO_IPV6, IPV6_RECVRTHDR, 1),
	INT(IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_RECVPATHMTU, 1),
	INT(IPPROTO_IPV6, IPV6_RECVTCLASS, 1),
	INT(IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */, 1),
	INT(IPPROTO_IPV6, 77 /* IPV6_RECVFRAGSIZE */, 1),
	INT(IPPROTO_IPV6, IPV6_TCLASS, 0x20),
	INT(IPPROTO_IPV6, IPV6_2292PKTINFO, 1),
	INT(IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1),
	INT(IPPROTO_IPV6, IPV6_2292RTHDR, 1),
	INT(IPPROTO_IPV6, IPV6_2292HOPOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_2292DSTOPTS, 1),
	INT(IPPROTO_IPV6, IPV6_FLOWINFO, 1),
	INT(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1),
	TOLD(IPPROTO_IPV6, 70 /* IPV6_AUTOFLOWLABEL */, 0, -1),
	INT(IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */, 3),
	INT(IPPROTO_IPV6, 75 /* IPV6_TRANSPARENT */, 1),
	INT(IPPROTO_IPV6, 78 /* IPV6_FREEBIND */, 1),
	TOLD(IPPROTO_IPV6, 72 /* IPV6_ADDR_PREFERENCES */, 1, 0x401),
	ANY(IPPROTO_IPV6, 76 /* IPV6_UNICAST_IF */, struct in_addr, {0x01000000}),
	ANY(IPPROTO_IPV6, IPV6_HOPOPTS, struct bytes8, {{0, 0, 1, 4}}),
	ANY(IPPROTO_IPV6, IPV6_DSTOPTS, struct bytes8, {{0, 0, 1, 4}}),
	ANY(IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, struct bytes8, {{0, 0, 1, 4}}),
};

static const struct opt udp_opts[] = {
	INT(IPPROTO_UDP, UDP_CORK, 1),
	INT(IPPROTO_UDP, UDP_ENCAP, 2),
	INT(IPPROTO_UDP, UDP_NO_CHECK6_TX, 1),
	INT(IPPROTO_UDP, UDP_NO_CHECK6_RX, 1),
	INT(IPPROTO_UDP, 103 /* UDP_SEGMENT */, 1000),
	INT(IPPROTO_UDP, 104 /* UDP_GRO */, 1),
};

static const struct opt raw_opts[] = {
	INT(IPPROTO_IP, IP_HDRINCL, 1),
	INT(IPPROTO_IP, IP_NODEFRAG, 1),
	INT(SOL_RAW, 1 /* ICMP_FILTER */, 0x55),
};

static const struct opt packet_opts[] = {
	INT(SOL_PACKET, PACKET_VERSION, TPACKET_V3),
	INT(SOL_PACKET, PACKET_RESERVE, 64),
	INT(SOL_PACKET, PACKET_LOSS, 1),
	INT(SOL_PACKET, PACKET_COPY_THRESH, 100),
	INT(SOL_PACKET, PACKET_AUXDATA, 1),
	INT(SOL_PACKET, PACKET_ORIGDEV, 1),
	INT(SOL_PACKET, PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE),
	INT(SOL_PACKET, PACKET_TX_HAS_OFF, 1),
	INT(SOL_PACKET, PACKET_QDISC_BYPASS, 1),
	INT(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1),
	INT(SOL_PACKET, PACKET_VNET_HDR, 1),
};

static const struct opt netlink_opts[] = {
	INT(SOL_NETLINK, NETLINK_PKTINFO, 1),
	INT(SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1),
	INT(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1),
	INT(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1),
	INT(SOL_NETLINK, NETLINK_CAP_ACK, 1),
	INT(SOL_NETLINK, NETLINK_EXT_ACK, 1),
	INT(SOL_NETLINK, 12 /* NETLINK_GET_STRICT_CHK */, 1),
};

static const struct opt unix_opts[] = {
	INT(SOL_SOCKET, SO_PASSCRED, 1),
	INT(SOL_SOCKET, 76 /* SO_PASSPIDFD */, 1),
	TOLD(SOL_SOCKET, 83 /* SO_PASSRIGHTS */, 0, -1),
};

#define SOCKETS_MAX 400

struct value {
	socklen_t len;
	unsigned char bytes[256];
};

static struct {
	int fd;
	const struct opt *opt;
	struct value was;
} held[SOCKETS_MAX];
static int n_held;

static struct value told(int fd, const struct opt *o)
{
	struct value v = {.len = sizeof(v.bytes)};

	CHECK(getsockopt(fd, o->level, o->opt, v.bytes, &v.len) == 0, "%s: %s", o->name,
		strerror(errno));
	return v;
}

/* The kernel has understood what was meant. */
static void hold(int fd, const struct opt *o)
{
	int n;

	CHECK(n_held < SOCKETS_MAX, "too many sockets");
	held[n_held].fd = fd;
	held[n_held].opt = o;
	held[n_held].was = told(fd, o);
	memcpy(&n, held[n_held].was.bytes, sizeof(n));
	if (o->len == 4 && held[n_held].was.len == 4 && o->told)
		CHECK(n == (o->told < 0 ? 0 : o->told), "%s: set to %d, told %d", o->name,
			*(const int *)o->value, n);
	else
		CHECK(!memcmp(held[n_held].was.bytes, o->value, o->len), "%s is not what was set",
			o->name);
	n_held++;
}

/* Older kernels take some options that they do not tell. */
static bool readable(int fd, const struct opt *o)
{
	struct value v = {.len = sizeof(v.bytes)};

	return getsockopt(fd, o->level, o->opt, v.bytes, &v.len) == 0 || errno != ENOPROTOOPT;
}

/* Each in a socket of its own, where this kernel and this kind of socket have it. Return: how many. */
static int hold_each(const struct opt *opts, size_t n, int family, int type, int protocol)
{
	int some = 0;

	for (size_t i = 0; i < n; i++) {
		int fd = socket(family, type, protocol);

		if (fd < 0)
			return 0;
		if (setsockopt(fd, opts[i].level, opts[i].opt, opts[i].value, opts[i].len) < 0) {
			CHECK(errno == ENOPROTOOPT || errno == EOPNOTSUPP || errno == EINVAL,
				"%s: %s", opts[i].name, strerror(errno));
			close(fd);
			continue;
		}
		if (!readable(fd, &opts[i])) {
			close(fd);
			continue;
		}
		hold(fd, &opts[i]);
		some++;
	}
	return some;
}

/* All of them in one. */
static void hold_all(const struct opt *opts, size_t n, int family, int type, int protocol)
{
	int fd = MUST(socket(family, type, protocol));
	bool set[64] = {false};

	for (size_t i = 0; i < n; i++)
		set[i] =
			setsockopt(fd, opts[i].level, opts[i].opt, opts[i].value, opts[i].len) == 0;
	for (size_t i = 0; i < n; i++)
		if (set[i] && readable(fd, &opts[i]))
			hold(fd, &opts[i]);
}

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void wait_and_look(void)
{
	victim_ready();
	victim_wait();
	for (int i = 0; i < n_held; i++) {
		struct value now = told(held[i].fd, held[i].opt);

		CHECK(now.len == held[i].was.len && !memcmp(now.bytes, held[i].was.bytes, now.len),
			"socket %d: %s: %u bytes %02x%02x%02x%02x, were %u bytes %02x%02x%02x%02x",
			held[i].fd, held[i].opt->name, now.len, now.bytes[0], now.bytes[1],
			now.bytes[2], now.bytes[3], held[i].was.len, held[i].was.bytes[0],
			held[i].was.bytes[1], held[i].was.bytes[2], held[i].was.bytes[3]);
	}
}

static void socket_level(void)
{
	CHECK(hold_each(sock_opts, COUNT(sock_opts), AF_INET, SOCK_DGRAM, 0) > 20, "too few");
	hold_all(sock_opts, COUNT(sock_opts), AF_INET, SOCK_DGRAM, 0);
	if (inet_has_v6())
		hold_all(sock_opts, COUNT(sock_opts), AF_INET6, SOCK_DGRAM, 0);
	wait_and_look();
}

static void ip_level(void)
{
	CHECK(hold_each(ip_opts, COUNT(ip_opts), AF_INET, SOCK_DGRAM, 0) > 20, "too few");
	hold_all(ip_opts, COUNT(ip_opts), AF_INET, SOCK_DGRAM, 0);
	if (inet_has_v6())
		hold_each(ip_opts, COUNT(ip_opts), AF_INET6, SOCK_DGRAM, 0);
	wait_and_look();
}

static void ipv6_level(void)
{
	if (!inet_has_v6())
		SKIP("no IPv6");
	CHECK(hold_each(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_DGRAM, 0) > 25, "too few");
	hold_all(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_DGRAM, 0);
	hold_each(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_RAW, IPPROTO_UDP);
	wait_and_look();
}

static void udp_level(void)
{
	CHECK(hold_each(udp_opts, COUNT(udp_opts), AF_INET, SOCK_DGRAM, 0) > 3, "too few");
	if (inet_has_v6())
		hold_each(udp_opts, COUNT(udp_opts), AF_INET6, SOCK_DGRAM, 0);
	wait_and_look();
}

static void raw_level(void)
{
	struct icmp6_filter f6;
	struct opt o = {"ICMPV6_FILTER", IPPROTO_ICMPV6, 1, sizeof(f6), &f6, 0, 0};

	CHECK(hold_each(raw_opts, COUNT(raw_opts), AF_INET, SOCK_RAW, IPPROTO_ICMP) == 3,
		"too few");
	hold_each(ip_opts, COUNT(ip_opts), AF_INET, SOCK_RAW, IPPROTO_UDP);
	memset(&f6, 0xa5, sizeof(f6));
	if (inet_has_v6())
		CHECK(hold_each(&o, 1, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) == 1,
			"no ICMPV6_FILTER");
	wait_and_look();
}

static void packet_level(void)
{
	CHECK(hold_each(packet_opts, COUNT(packet_opts), AF_PACKET, SOCK_RAW, 0) > 8, "too few");
	hold_all(packet_opts, COUNT(packet_opts), AF_PACKET, SOCK_DGRAM, 0);
	hold_all(sock_opts, COUNT(sock_opts) - 1, AF_PACKET, SOCK_RAW, 0);
	wait_and_look();
}

static void netlink_level(void)
{
	CHECK(hold_each(netlink_opts, COUNT(netlink_opts), AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) > 5,
		"too few");
	hold_all(netlink_opts, COUNT(netlink_opts), AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC);
	wait_and_look();
}

/* But those that decide about addresses, and the last, which is for who can be bound to a device. */
static void unix_level(void)
{
	hold_each(unix_opts, COUNT(unix_opts), AF_UNIX, SOCK_DGRAM, 0);
	hold_all(unix_opts, COUNT(unix_opts), AF_UNIX, SOCK_STREAM, 0);
	CHECK(n_held >= 2, "too few");
	hold_all(sock_opts, COUNT(sock_opts) - 1, AF_UNIX, SOCK_SEQPACKET, 0);
	wait_and_look();
}

static void tcp_level(void)
{
	hold_all(sock_opts, COUNT(sock_opts), AF_INET, SOCK_STREAM, 0);
	hold_all(ip_opts, COUNT(ip_opts), AF_INET, SOCK_STREAM, 0);
	if (inet_has_v6())
		hold_all(ipv6_opts, COUNT(ipv6_opts), AF_INET6, SOCK_STREAM, 0);
	wait_and_look();
}

#define SO_BUF_LOCK_NUMBER 72

static void sizes(void)
{
	static const int wanted[] = {4096, 50001, 100000, 3000000};
	int fd[4], grows = MUST(socket(AF_INET, SOCK_DGRAM, 0)), snd[4], rcv[4], lock, at;

	for (int i = 0; i < 4; i++) {
		fd[i] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
		inet_set(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, wanted[i]);
		if (i)
			inet_set(fd[i], SOL_SOCKET, SO_RCVBUFFORCE, wanted[3 - i]);
		snd[i] = inet_get(fd[i], SOL_SOCKET, SO_SNDBUF);
		rcv[i] = inet_get(fd[i], SOL_SOCKET, SO_RCVBUF);
		CHECK(i == 0 || snd[i] == 2 * wanted[i], "the size was not taken");
	}
	inet_set(grows, SOL_SOCKET, SO_RCVBUF, 30000);
	at = 0;
	lock = setsockopt(grows, SOL_SOCKET, SO_BUF_LOCK_NUMBER, &at, sizeof(at));
	victim_ready();
	victim_wait();
	for (int i = 0; i < 4; i++) {
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_SNDBUF) == snd[i],
			"socket %d: SO_SNDBUF %d, was %d", i,
			inet_get(fd[i], SOL_SOCKET, SO_SNDBUF), snd[i]);
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_RCVBUF) == rcv[i],
			"socket %d: SO_RCVBUF %d, was %d", i,
			inet_get(fd[i], SOL_SOCKET, SO_RCVBUF), rcv[i]);
	}
	CHECK(inet_get(grows, SOL_SOCKET, SO_RCVBUF) == 60000, "SO_RCVBUF: expected 60000, got %d",
		inet_get(grows, SOL_SOCKET, SO_RCVBUF));
	if (lock < 0)
		return;
	CHECK(inet_get(grows, SOL_SOCKET, SO_BUF_LOCK_NUMBER) == 0, "it may not grow any more");
	CHECK(inet_get(fd[0], SOL_SOCKET, SO_BUF_LOCK_NUMBER) == 1, "another lock: %d",
		inet_get(fd[0], SOL_SOCKET, SO_BUF_LOCK_NUMBER));
	CHECK(inet_get(fd[1], SOL_SOCKET, SO_BUF_LOCK_NUMBER) == 3, "another lock: %d",
		inet_get(fd[1], SOL_SOCKET, SO_BUF_LOCK_NUMBER));
}

static void stamps(void)
{
	static const int names[] = {
		SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW};
	int fd[6], was[6][4], tx = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	for (int i = 0; i < 6; i++) {
		fd[i] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
		if (i < 4)
			inet_set(fd[i], SOL_SOCKET, names[i], 1);
		if (i >= 3)
			inet_set(fd[i], SOL_SOCKET,
				i == 5 ? SO_TIMESTAMPING_NEW : SO_TIMESTAMPING_OLD, tx);
		for (int k = 0; k < 4; k++)
			was[i][k] = inet_get(fd[i], SOL_SOCKET, names[k]);
	}
	CHECK(was[0][0] && was[1][1] && was[2][2], "a time stamp was not taken");
	victim_ready();
	victim_wait();
	for (int i = 0; i < 6; i++) {
		for (int k = 0; k < 4; k++)
			CHECK(inet_get(fd[i], SOL_SOCKET, names[k]) == was[i][k],
				"socket %d: time stamps %d: was %d", i, names[k], was[i][k]);
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_TIMESTAMPING_OLD) == (i >= 3 ? tx : 0),
			"socket %d: SO_TIMESTAMPING is %#x", i,
			inet_get(fd[i], SOL_SOCKET, SO_TIMESTAMPING_OLD));
	}
}

/* What was sent just now may take a moment. */
static ssize_t take(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[64];

	poll(&p, 1, 2000);
	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
}

/* Lets in what is longer than 20 bytes with its header of 8. */
static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 20, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {sizeof(code) / sizeof(*code), code};
	int fd[3], none = 0;

	for (int i = 0; i < 3; i++) {
		fd[i] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
		inet_connect(fd[i], "127.0.0.1", inet_port(fd[i]));
		/* what is there before the filter is not asked by it */
		CHECK(send(fd[i], "first", 5, 0) == 5, "send: %s", strerror(errno));
		if (i)
			MUST(setsockopt(fd[i], SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
		if (i == 2)
			inet_set(fd[i], SOL_SOCKET, SO_LOCK_FILTER, 1);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++) {
		struct sock_filter got[8];
		socklen_t n = 8;

		CHECK(take(fd[i]) == 5, "the first is not there");
		CHECK(send(fd[i], "short", 5, 0) == 5 &&
				send(fd[i], "one that is long", 16, 0) == 16,
			"send: %s", strerror(errno));
		if (!i)
			CHECK(take(fd[i]) == 5, "it has a filter now");
		CHECK(take(fd[i]) == 16, "not the long one");
		MUST(getsockopt(fd[i], SOL_SOCKET, SO_GET_FILTER, got, &n));
		CHECK(n == (i ? 4 : 0) && (!i || !memcmp(got, code, sizeof(code))),
			"socket %d: another filter, of %u instructions", i, n);
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_LOCK_FILTER) == (i == 2),
			"socket %d: the lock", i);
	}
	CHECK(setsockopt(fd[2], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) == -1 &&
			errno == EPERM,
		"a locked filter comes off");
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"socket", socket_level},
		{"ip", ip_level},
		{"ipv6", ipv6_level},
		{"udp", udp_level},
		{"raw", raw_level},
		{"packet", packet_level},
		{"netlink", netlink_level},
		{"unix", unix_level},
		{"tcp", tcp_level},
		{"sizes", sizes},
		{"stamps", stamps},
		{"filter", filter},
	};

	return victim_cases(argc, argv, cases, COUNT(cases));
}
