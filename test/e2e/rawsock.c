/*
 * e2e: args: raw ping
 *
 * Holds: raw: raw sockets of IP: of a protocol, of none, bound, connected, with a filter of ICMP types, with the
 *        header given by the program. ping: sockets by which everybody may ping, with their number.
 * Shows: "ping and raw sockets".
 */
#include "inet.h"
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/ip.h>

#define PROTOCOL 253 /* for experiments, RFC 3692 */

/*
 * A raw socket hears whatever any program of the machine sends by its protocol, other victims too. So those of IPv4
 * have an address of this process' own, and that of IPv6, where there is but one, a filter of what it says itself.
 */
static void hear_only(int fd, int mark)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(mark), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(*f), f};

	MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
}

static void raw(void)
{
	struct inet_view was[8];
	char own[INET_ADDRSTRLEN], stranger[INET_ADDRSTRLEN];
	int fd[8], n = 0, mark = (int)getpid(), six_says[2] = {0, mark};
	struct {
		struct iphdr ip;
		int data;
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = PROTOCOL}};
	union inet_any lo, six = inet_of("::1", 0);
	char buf[2000];
	ssize_t got = -1;

	snprintf(own, sizeof(own), "127.%d.%d.%d", 64 + (mark >> 16 & 63), mark >> 8 & 255,
		mark & 255);
	snprintf(stranger, sizeof(stranger), "127.0.%d.%d", mark >> 8 & 255, mark & 255);
	lo = inet_of(own, 0);
	fd[n++] = inet_bound(SOCK_RAW, PROTOCOL, own, 1);
	MUST(fcntl(fd[0], F_SETFL, O_RDWR | O_NONBLOCK));
	MUST(connect(fd[0], &lo.sa, sizeof(lo.in)));
	fd[n++] = inet_bound(SOCK_RAW, IPPROTO_ICMP, own, 1);
	inet_set(fd[1], SOL_RAW, ICMP_FILTER, 0x77);
	fd[n++] = MUST(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
	fd[n++] = inet_bound(SOCK_RAW, PROTOCOL, own, 1);
	inet_set(fd[3], IPPROTO_IP, IP_HDRINCL, 1);
	if (inet_has_v6()) {
		fd[n++] = MUST(socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, PROTOCOL));
		hear_only(fd[4], mark);
		MUST(connect(fd[n - 1], &six.sa, sizeof(six.in6)));
		inet_set(fd[n - 1], IPPROTO_IPV6, IPV6_CHECKSUM, 2);
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
	CHECK(inet_get(fd[1], SOL_RAW, ICMP_FILTER) == 0x77, "another filter");
	/* connected: it can send without an address, and others are not heard */
	CHECK(send(fd[0], &mark, sizeof(mark), 0) == sizeof(mark), "not connected: %s",
		strerror(errno));
	p.data = mark + 1;
	p.ip.saddr = inet_of(stranger, 0).in.sin_addr.s_addr;
	p.ip.daddr = lo.in.sin_addr.s_addr;
	CHECK(sendto(fd[3], &p, sizeof(p), 0, &lo.sa, sizeof(lo.in)) == sizeof(p), "sendto: %s",
		strerror(errno));
	for (int i = 0; i < 200; i++, usleep(1000)) {
		got = recv(fd[0], buf, sizeof(buf), 0);
		if (got != 24)
			continue;
		CHECK(memcmp(buf + 20, &p.data, 4), "another than the peer was heard");
		if (!memcmp(buf + 20, &mark, 4))
			break;
	}
	CHECK(got == 24 && !memcmp(buf + 20, &mark, 4), "what was sent did not come");
	if (n > 4) {
		CHECK(send(fd[4], six_says, sizeof(six_says), 0) == sizeof(six_says),
			"IPv6: not connected: %s", strerror(errno));
		got = -1;
		for (int i = 0; i < 200 && got < 0; i++, usleep(1000))
			got = recv(fd[4], buf, sizeof(buf), 0);
		CHECK(got == sizeof(six_says), "IPv6: not heard: %s", strerror(errno));
	}
}

static void ping(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_ICMP), number;
	union inet_any a = inet_of("127.0.0.1", 0);
	struct icmphdr h = {.type = ICMP_ECHO, .un.echo.sequence = htons(3)}, reply;
	ssize_t n = -1;

	if (fd < 0)
		SKIP("sysctl net.ipv4.ping_group_range does not allow it: %s", strerror(errno));
	MUST(bind(fd, &a.sa, sizeof(a.in)));
	number = inet_port(fd);
	victim_ready();
	victim_wait();
	CHECK(inet_port(fd) == number, "expected number %d, got %d", number, inet_port(fd));
	MUST(sendto(fd, &h, sizeof(h), 0, &a.sa, sizeof(a.in)));
	for (int i = 0; i < 200 && n < 0; i++, usleep(1000))
		n = recv(fd, &reply, sizeof(reply), 0);
	CHECK(n == sizeof(reply) && reply.type == ICMP_ECHOREPLY &&
			reply.un.echo.sequence == htons(3) && ntohs(reply.un.echo.id) == number,
		"no reply: %zd (%s)", n, strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"raw", raw}, {"ping", ping}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
