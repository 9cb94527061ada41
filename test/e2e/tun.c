/*
 * e2e: args: own tap queues persist idle
 *
 * Holds: descriptors of /dev/net/tun: own: with an interface of its own, up, with addresses, a route, and a socket
 *        that is bound to one of its addresses. tap: with a link address, a header before each packet, an address of
 *        IPv6. queues: three on one interface, of which one is switched off. persist: of an
 *        interface that outlives its program. idle: attached to none.
 * Shows: "tun/tap descriptors of persistent and of own devices".
 */
#include "inet.h"
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/ioctl.h>

static char name[IFNAMSIZ];
static unsigned char net[3]; /* of the addresses: 10.x.y */

static int tun_open(unsigned flags)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	struct ifreq q = {.ifr_flags = (short)flags};

	if (fd < 0)
		SKIP("/dev/net/tun: %s", strerror(errno));
	snprintf(name, sizeof(name), "ckpt%d", getpid());
	net[0] = 10;
	net[1] = 1 + getpid() / 250 % 250;
	net[2] = getpid() % 250;
	strcpy(q.ifr_name, name);
	MUST(ioctl(fd, TUNSETIFF, &q));
	return fd;
}

static const char *ip(int last)
{
	static char text[4][32];
	static int i;

	i = (i + 1) % 4;
	snprintf(text[i], sizeof(text[i]), "%u.%u.%u.%d", net[0], net[1], net[2], last);
	return text[i];
}

static struct ifreq asked(unsigned long request, struct ifreq q)
{
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));

	strcpy(q.ifr_name, name);
	CHECK(ioctl(fd, request, &q) == 0, "ioctl %#lx of %s: %s", request, name, strerror(errno));
	close(fd);
	return q;
}

static void tell(int type, const void *body, size_t len)
{
	int fd = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	struct {
		struct nlmsghdr h;
		char body[256];
	} q = {.h = {.nlmsg_len = NLMSG_LENGTH(len),
		       .nlmsg_type = type,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} a;

	memcpy(q.body, body, len);
	MUST(send(fd, &q, q.h.nlmsg_len, 0));
	MUST(recv(fd, &a, sizeof(a), 0));
	CHECK(a.e.error == 0, "rtnetlink %d: %s", type, strerror(-a.e.error));
	close(fd);
}

static void add_address(const char *text, int bits)
{
	union inet_any a = inet_of(text, 0);
	struct {
		struct ifaddrmsg m;
		struct rtattr a;
		unsigned char addr[16];
	} q = {.m = {.ifa_family = a.sa.sa_family, .ifa_prefixlen = bits}};
	size_t len = a.sa.sa_family == AF_INET ? 4 : 16;

	q.m.ifa_index = if_nametoindex(name);
	q.a.rta_type = IFA_LOCAL;
	q.a.rta_len = RTA_LENGTH(len);
	memcpy(q.addr, len == 4 ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr, len);
	tell(RTM_NEWADDR, &q, offsetof(typeof(q), addr) + len);
}

static void add_route(const char *to, int bits)
{
	union inet_any a = inet_of(to, 0);
	struct {
		struct rtmsg m;
		struct rtattr a;
		unsigned char to[4];
		struct rtattr b;
		int oif;
	} q = {.m = {.rtm_family = AF_INET,
		       .rtm_dst_len = bits,
		       .rtm_table = RT_TABLE_MAIN,
		       .rtm_protocol = RTPROT_STATIC,
		       .rtm_scope = RT_SCOPE_LINK,
		       .rtm_type = RTN_UNICAST},
		.a = {RTA_LENGTH(4), RTA_DST},
		.b = {RTA_LENGTH(4), RTA_OIF}};

	memcpy(q.to, &a.in.sin_addr, 4);
	q.oif = (int)if_nametoindex(name);
	tell(RTM_NEWROUTE, &q, sizeof(q));
}

static void up(void)
{
	struct ifreq q = asked(SIOCGIFFLAGS, (struct ifreq){0});

	q.ifr_flags |= IFF_UP;
	asked(SIOCSIFFLAGS, q);
}

/* What a program can ask of the interface. */
struct view {
	int flags, tun_flags, mtu, queue_len, index, header, le, sndbuf;
	struct sockaddr hw;
};

static void view(int fd, struct view *v)
{
	struct ifreq q = {0};

	memset(v, 0, sizeof(*v));
	MUST(ioctl(fd, TUNGETIFF, &q));
	CHECK(!strcmp(q.ifr_name, name), "expected %s, got '%s'", name, q.ifr_name);
	v->tun_flags = (unsigned short)q.ifr_flags;
	v->flags = asked(SIOCGIFFLAGS, q).ifr_flags;
	v->mtu = asked(SIOCGIFMTU, q).ifr_mtu;
	v->queue_len = asked(SIOCGIFTXQLEN, q).ifr_qlen;
	v->hw = asked(SIOCGIFHWADDR, q).ifr_hwaddr;
	v->index = (int)if_nametoindex(name);
	MUST(ioctl(fd, TUNGETVNETHDRSZ, &v->header));
	MUST(ioctl(fd, TUNGETVNETLE, &v->le));
	MUST(ioctl(fd, TUNGETSNDBUF, &v->sndbuf));
}

static void expect_view(int fd, const struct view *was)
{
	struct view now;

	view(fd, &now);
	CHECK(!memcmp(&now, was, sizeof(now)),
		"flags %#x were %#x, of tun %#x were %#x, mtu %d was %d, queue %d was %d, index %d "
		"was %d, header %d was %d, sndbuf %d was %d",
		now.flags, was->flags, now.tun_flags, was->tun_flags, now.mtu, was->mtu,
		now.queue_len, was->queue_len, now.index, was->index, now.header, was->header,
		now.sndbuf, was->sndbuf);
}

/* The packet with that text, among others that the kernel sends on a new interface. */
static bool got(int fd, const char *text)
{
	char buf[2000];
	ssize_t n;

	for (int i = 0; i < 200; i++, usleep(1000))
		while ((n = read(fd, buf, sizeof(buf))) >= 0)
			if (memmem(buf, n, text, strlen(text)))
				return true;
	return false;
}

static void send_by(int sock, const char *text, const char *to)
{
	union inet_any a = inet_of(to, 99);

	CHECK(sendto(sock, text, strlen(text), 0, &a.sa, inet_len(&a)) == (ssize_t)strlen(text),
		"sendto %s: %s", to, strerror(errno));
}

static void own(void)
{
	int low = MUST(open("/dev/null", O_RDONLY)), fd = tun_open(IFF_TUN | IFF_NO_PI), sock;
	struct ifreq q = {.ifr_mtu = 1400};
	struct view was;
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[4];
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 5, .protocol = IPPROTO_UDP}};
	unsigned sum = 0;
	char buf[100];

	asked(SIOCSIFMTU, q);
	q.ifr_qlen = 77;
	asked(SIOCSIFTXQLEN, q);
	add_address(ip(1), 25);
	add_address(ip(200), 32);
	up();
	add_route(ip(192), 27);
	sock = inet_bound(SOCK_DGRAM, 0, ip(1), 5000);
	/* a socket with a lower number, so that it stands before the interface */
	MUST(dup2(sock, low));
	close(sock);
	sock = low;
	while (read(fd, buf, sizeof(buf)) >= 0)
		;
	view(fd, &was);
	victim_ready();
	victim_wait();
	expect_view(fd, &was);
	send_by(sock, "by its address", ip(2));
	CHECK(got(fd, "by its address"), "nothing came to the interface");
	send_by(sock, "by its route", ip(195));
	CHECK(got(fd, "by its route"), "nothing came by the route");
	/* and a packet from it comes in */
	p.ip.tot_len = htons(sizeof(p));
	p.ip.saddr = inet_of(ip(2), 0).in.sin_addr.s_addr;
	p.ip.daddr = inet_of(ip(1), 0).in.sin_addr.s_addr;
	for (unsigned i = 0; i < sizeof(p.ip) / 2; i++)
		sum += ((unsigned short *)&p.ip)[i];
	p.ip.check = (unsigned short)~((sum & 0xffff) + (sum >> 16));
	p.udp.source = htons(7);
	p.udp.dest = htons(5000);
	p.udp.len = htons(12);
	memcpy(p.text, "hi!", 4);
	CHECK(write(fd, &p, sizeof(p)) == sizeof(p), "write: %s", strerror(errno));
	for (int i = 0; i < 200 && recv(sock, buf, sizeof(buf), MSG_DONTWAIT) != 4; i++) {
		CHECK(i < 199, "no packet from the interface");
		usleep(1000);
	}
	CHECK(!memcmp(buf, "hi!", 4), "another packet");
}

/* An address of IPv6 is looked for elsewhere first, which takes a while. */
static bool can_bind(const char *text, int tries)
{
	union inet_any a = inet_of(text, 0);
	int fd = MUST(socket(AF_INET6, SOCK_DGRAM, 0)), err;

	while ((err = bind(fd, &a.sa, sizeof(a.in6))) < 0 && errno == EADDRNOTAVAIL && --tries)
		usleep(10000);
	close(fd);
	return err == 0;
}

static void tap(void)
{
	int fd = tun_open(IFF_TAP | IFF_VNET_HDR), header = 12, le = 1, sndbuf = 100000;
	struct ifreq q = {.ifr_hwaddr = {1, {2, 0x77, 1, 2, 3, 4}}};
	struct view was;
	char buf[2000], six[64];

	snprintf(six, sizeof(six), "fd77:%x::1", getpid() & 0xffff);
	asked(SIOCSIFHWADDR, q);
	MUST(ioctl(fd, TUNSETVNETHDRSZ, &header));
	MUST(ioctl(fd, TUNSETVNETLE, &le));
	MUST(ioctl(fd, TUNSETSNDBUF, &sndbuf));
	MUST(ioctl(fd, TUNSETOWNER, 1234));
	up();
	if (inet_has_v6())
		add_address(six, 64);
	add_address(ip(1), 24);
	CHECK(!inet_has_v6() || can_bind(six, 400), "its address of IPv6: %s", strerror(errno));
	view(fd, &was);
	victim_ready();
	victim_wait();
	expect_view(fd, &was);
	while (read(fd, buf, sizeof(buf)) >= 0)
		;
	send_by(MUST(socket(AF_INET, SOCK_DGRAM, 0)), "tap", ip(2));
	CHECK(got(fd, "\x02\x77\x01\x02\x03\x04"), "no ARP request from its link address");
	snprintf(buf, sizeof(buf), "/sys/class/net/%s/owner", name);
	victim_slurp(buf, buf, sizeof(buf));
	CHECK(atoi(buf) == 1234, "owner: expected 1234, got %s", buf);
	CHECK(!inet_has_v6() || can_bind(six, 1), "its address of IPv6: %s", strerror(errno));
}

static void queues(void)
{
	int fd[3];
	struct view was[3];
	struct ifreq q = {.ifr_flags = IFF_DETACH_QUEUE};

	for (int i = 0; i < 3; i++)
		fd[i] = tun_open(IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
	MUST(ioctl(fd[1], TUNSETQUEUE, &q));
	add_address(ip(1), 24);
	up();
	for (int i = 0; i < 3; i++)
		view(fd[i], &was[i]);
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++)
		expect_view(fd[i], &was[i]);
	q.ifr_flags = IFF_ATTACH_QUEUE;
	MUST(ioctl(fd[1], TUNSETQUEUE, &q));
	send_by(MUST(socket(AF_INET, SOCK_DGRAM, 0)), "to one of three", ip(2));
	CHECK(got(fd[0], "to one of three") || got(fd[1], "to one of three") ||
			got(fd[2], "to one of three"),
		"nothing came");
}

static void persist(void)
{
	int fd = tun_open(IFF_TUN | IFF_NO_PI);
	struct view was;

	MUST(ioctl(fd, TUNSETPERSIST, 1));
	add_address(ip(1), 24);
	up();
	view(fd, &was);
	victim_ready();
	victim_wait();
	expect_view(fd, &was);
	send_by(MUST(socket(AF_INET, SOCK_DGRAM, 0)), "it persists", ip(2));
	CHECK(got(fd, "it persists"), "nothing came");
	MUST(ioctl(fd, TUNSETPERSIST, 0));
}

static void idle(void)
{
	int fd = open("/dev/net/tun", O_RDWR);
	struct ifreq q = {.ifr_flags = IFF_TUN};

	if (fd < 0)
		SKIP("/dev/net/tun: %s", strerror(errno));
	victim_ready();
	victim_wait();
	CHECK(ioctl(fd, TUNGETIFF, &q) == -1 && errno == EBADFD, "it is attached: %s",
		strerror(errno));
	snprintf(q.ifr_name, sizeof(q.ifr_name), "ckpt%d", getpid());
	q.ifr_flags = IFF_TUN;
	MUST(ioctl(fd, TUNSETIFF, &q));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"own", own}, {"tap", tap}, {"queues", queues},
		{"persist", persist}, {"idle", idle}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
