/*
 * e2e: args: plain members fanout ring filter
 *
 * Holds: packet sockets: plain: that get nothing, one protocol, all of one interface, cooked.
 *        members: that have asked an interface for groups and for everything. fanout: two that share what
 *        comes. ring: with rings that nobody has mapped. filter: with a filter that lets nothing else in.
 * Shows: "packet sockets (fanout, rings)".
 */
#include "inet.h"
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>

static int packet(int type, int protocol, const char *interface)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
	int fd = MUST(socket(AF_PACKET, type | SOCK_NONBLOCK, 0));

	a.sll_ifindex = interface ? if_nametoindex(interface) : 0;
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static struct sockaddr_ll name_of(int fd)
{
	struct sockaddr_ll a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	MUST(getsockname(fd, (struct sockaddr *)&a, &len));
	return a;
}

static void expect_name(int fd, const struct sockaddr_ll *was, const char *what)
{
	struct sockaddr_ll now = name_of(fd);

	CHECK(!memcmp(&now, was, sizeof(now)),
		"%s: expected interface %d, protocol %#x; got %d, %#x", what, was->sll_ifindex,
		ntohs(was->sll_protocol), now.sll_ifindex, ntohs(now.sll_protocol));
}

/* Through lo to a port of our own, so that it can be told from what others send. */
static void send_mark(int port, const char *text)
{
	union inet_any a = inet_of("127.0.0.1", port);
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));

	CHECK(sendto(fd, text, strlen(text), 0, &a.sa, sizeof(a.in)) == (ssize_t)strlen(text),
		"sendto: %s", strerror(errno));
	close(fd);
}

/* Whether it has got a packet with that text, among others. */
static bool got_mark(int fd, const char *text)
{
	char buf[2000];
	ssize_t n;

	for (int i = 0, k = 0; i < 100; i++, usleep(1000))
		while (k++ < 10000 && (n = recv(fd, buf, sizeof(buf), 0)) >= 0)
			if (memmem(buf, n, text, strlen(text)))
				return true;
	return false;
}

/* Of a busy machine it sees so much that its buffer may be full, and the mark not in it. */
static bool mark_comes(int fd, int port)
{
	char buf[2000];

	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 10000 && recv(fd, buf, sizeof(buf), 0) >= 0; k++)
			;
		send_mark(port, "the mark");
		if (got_mark(fd, "the mark"))
			return true;
	}
	return false;
}

static void plain(void)
{
	int port = inet_port(inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0)), n = 0, fd[6];
	struct sockaddr_ll was[6];
	char buf[2000];

	fd[n++] = MUST(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
	fd[n++] = packet(SOCK_RAW, 0, "lo");
	fd[n++] = packet(SOCK_RAW, ETH_P_IP, "lo");
	fd[n++] = packet(SOCK_DGRAM, ETH_P_ALL, NULL);
	fd[n++] = packet(SOCK_DGRAM, ETH_P_ARP, "lo");
	for (int i = 0; i < n; i++)
		was[i] = name_of(fd[i]);
	victim_ready();
	victim_wait();
	for (int i = 0; i < n; i++) {
		char what[16];

		snprintf(what, sizeof(what), "socket %d", i);
		expect_name(fd[i], &was[i], what);
	}
	CHECK(mark_comes(fd[2], port), "nothing came by lo");
	CHECK(mark_comes(fd[3], port), "nothing came by any interface");
	for (int i = 0; i < 2; i++)
		CHECK(recv(fd[i], buf, sizeof(buf), 0) == -1 && errno == EAGAIN,
			"socket %d got something", i);
	CHECK(!got_mark(fd[4], "the mark"), "what is no ARP came as ARP");
}

/* What sock_diag tells of the memberships of a socket: "kind x count" of each in one number. */
static long memberships(int fd)
{
	struct {
		struct nlmsghdr h;
		struct packet_diag_req r;
	} q = {.h = {sizeof(q), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
		.r = {.sdiag_family = AF_PACKET, .pdiag_show = PACKET_SHOW_MCLIST}};
	int diag = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG));
	static char buf[65536];
	struct stat st;
	long sum = 0;
	bool end = false;

	MUST(fstat(fd, &st));
	MUST(send(diag, &q, sizeof(q), 0));
	while (!end) {
		int n = (int)MUST(recv(diag, buf, sizeof(buf), 0));

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (unsigned)n);
			h = NLMSG_NEXT(h, n)) {
			struct packet_diag_msg *m = NLMSG_DATA(h);
			struct rtattr *a = (void *)(m + 1);
			int len = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

			end |= h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
			if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || m->pdiag_ino != st.st_ino)
				continue;
			for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
				for (struct packet_diag_mclist *e = RTA_DATA(a);
					a->rta_type == PACKET_DIAG_MCLIST &&
					(char *)(e + 1) <= (char *)RTA_DATA(a) + RTA_PAYLOAD(a);
					e++)
					sum += (long)e->pdmc_count << (16 * e->pdmc_type) |
					       (e->pdmc_type == PACKET_MR_MULTICAST
							       ? e->pdmc_addr[5] << 8
							       : 0);
		}
	}
	close(diag);
	return sum;
}

static unsigned promiscuity(void)
{
	char buf[64];

	victim_slurp("/sys/class/net/lo/flags", buf, sizeof(buf));
	return strtoul(buf, NULL, 16) & IFF_PROMISC;
}

static void members(void)
{
	static const unsigned char group[6] = {1, 0, 0x5e, 1, 2, 3};
	struct packet_mreq q = {.mr_ifindex = if_nametoindex("lo")};
	int fd = packet(SOCK_RAW, ETH_P_ARP, "lo");
	long want = 2L << 16 * PACKET_MR_PROMISC | 1L << 16 * PACKET_MR_MULTICAST | 3 << 8, got;

	q.mr_type = PACKET_MR_PROMISC;
	MUST(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &q, sizeof(q)));
	MUST(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &q, sizeof(q)));
	q.mr_type = PACKET_MR_MULTICAST;
	q.mr_alen = 6;
	memcpy(q.mr_address, group, 6);
	MUST(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &q, sizeof(q)));
	CHECK(promiscuity(), "lo is not promiscuous");
	victim_ready();
	victim_wait();
	CHECK(promiscuity(), "lo is not promiscuous any more");
	got = memberships(fd);
	CHECK(got == want, "memberships: expected %#lx, got %#lx", want, got);
}

static void fanout(void)
{
	int fd[2], port = inet_port(inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0)), was[2], n = 0;
	int arg = (getpid() & 0xffff) | (PACKET_FANOUT_LB | PACKET_FANOUT_FLAG_ROLLOVER) << 16;

	for (int i = 0; i < 2; i++) {
		fd[i] = packet(SOCK_RAW, ETH_P_IP, "lo");
		inet_set(fd[i], SOL_PACKET, PACKET_FANOUT, arg);
		was[i] = inet_get(fd[i], SOL_PACKET, PACKET_FANOUT);
		CHECK(was[i] == arg, "fanout: expected %#x, got %#x", arg, was[i]);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 2; i++)
		CHECK(inet_get(fd[i], SOL_PACKET, PACKET_FANOUT) == was[i],
			"fanout: expected %#x, got %#x", was[i],
			inet_get(fd[i], SOL_PACKET, PACKET_FANOUT));
	/* on lo a packet is seen when it goes and when it comes; each by one of the two */
	for (int i = 0; i < 20 && !n; i++)
		n = mark_comes(fd[i % 2], port);
	CHECK(n, "neither has got it");
}

static void ring(void)
{
	struct tpacket_req q = {16384, 4, 2048, 32};
	struct tpacket_req3 q3 = {65536, 2, 2048, 64, 50, 16, 0};
	int rx = packet(SOCK_RAW, 0, "lo"), tx = packet(SOCK_RAW, 0, "lo"),
	    v3 = packet(SOCK_RAW, 0, "lo");
	int version = TPACKET_V2;
	void *p;

	MUST(setsockopt(rx, SOL_PACKET, PACKET_RX_RING, &q, sizeof(q)));
	MUST(setsockopt(tx, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)));
	MUST(setsockopt(tx, SOL_PACKET, PACKET_TX_RING, &q, sizeof(q)));
	version = TPACKET_V3;
	MUST(setsockopt(v3, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)));
	MUST(setsockopt(v3, SOL_PACKET, PACKET_RX_RING, &q3, sizeof(q3)));
	victim_ready();
	victim_wait();
	/* a mapping has to be as large as the rings */
	p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, rx, 0);
	CHECK(p != MAP_FAILED, "the receive ring: %s", strerror(errno));
	p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, tx, 0);
	CHECK(p != MAP_FAILED, "the send ring: %s", strerror(errno));
	CHECK(inet_get(tx, SOL_PACKET, PACKET_VERSION) == TPACKET_V2, "another version");
	p = mmap(NULL, 131072, PROT_READ | PROT_WRITE, MAP_SHARED, v3, 0);
	CHECK(p != MAP_FAILED, "the ring of version 3: %s", strerror(errno));
	CHECK(inet_get(v3, SOL_PACKET, PACKET_VERSION) == TPACKET_V3, "another version");
}

static void filter(void)
{
	/* UDP over IP whose destination port is ours */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {4, code};
	int port = inet_port(inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0));
	int fd = MUST(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	char buf[2000];
	ssize_t n;

	code[1].k = port;
	MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
	a.sll_ifindex = if_nametoindex("lo");
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	victim_ready();
	victim_wait();
	n = recv(fd, buf, sizeof(buf), 0);
	CHECK(n == -1 && errno == EAGAIN, "what the filter keeps out came: %zd bytes", n);
	send_mark(port + 1, "the other");
	send_mark(port, "the mark");
	for (int i = 0; i < 100 && (n = recv(fd, buf, sizeof(buf), 0)) < 0; i++)
		usleep(1000);
	CHECK(n > 0 && memmem(buf, n, "the mark", 8), "what came first is not the mark");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"plain", plain}, {"members", members},
		{"fanout", fanout}, {"ring", ring}, {"filter", filter}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
