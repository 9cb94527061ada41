/*
 * Datagrams that seem to come from anybody arrive at a socket of this machine, whole, and nowhere else.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/rtnl.h"
#include "kernel/udp_packet.h"

union any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static union any addr(const char *ip, int port)
{
	union any a;

	memset(&a, 0, sizeof(a));
	a.sa.sa_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	inet_pton(a.sa.sa_family, ip,
		strchr(ip, ':') ? (void *)&a.in6.sin6_addr : (void *)&a.in.sin_addr);
	a.in.sin_port = htons(port);
	return a;
}

static void arrives(const char *from_ip, const char *to_ip, size_t len)
{
	static uint8_t data[65536], got[65536];
	union any from = addr(from_ip, 53), to = addr(to_ip, 0), seen;
	socklen_t alen = from.sa.sa_family == AF_INET ? sizeof(from.in) : sizeof(from.in6);
	int fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	    raw = udp_packet_socket(to.sa.sa_family);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct udp_packet u = {.protocol = IPPROTO_UDP,
		.from = &from.sa,
		.to = &to.sa,
		.ttl = 3,
		.data = data,
		.len = len};

	if (raw == -EPERM)
		cr_skip("CAP_NET_RAW is missing");
	if (bind(fd, &to.sa, alen) < 0)
		cr_skip("%s is not here", to_ip);
	getsockname(fd, &to.sa, &alen);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	cr_assert_eq(udp_packet_send(raw, &u), 0);
	cr_assert_eq(poll(&p, 1, 2000), 1, "%zu bytes from %s did not arrive", len, from_ip);
	memset(&seen, 0, sizeof(seen));
	alen = sizeof(seen);
	cr_expect_eq(recvfrom(fd, got, sizeof(got), 0, &seen.sa, &alen), (ssize_t)len);
	cr_expect_eq(memcmp(got, data, len), 0);
	cr_expect_eq(memcmp(&seen, &from, alen), 0, "it came from elsewhere than %s", from_ip);
	close(fd);
	close(raw);
}

Test(udp_packet, arrives)
{
	arrives("8.8.8.8", "127.0.0.1", 0);
	arrives("127.9.9.9", "127.0.0.1", 1);
	arrives("10.1.2.3", "127.3.2.1", 1233);
	arrives("192.0.2.77", "127.0.0.1", 65507); /* as long as can be */
	arrives("2001:db8::7", "::1", 333);
}

Test(udp_packet, too_long)
{
	static uint8_t data[65536];
	union any a = addr("127.0.0.1", 9);
	struct udp_packet u = {.protocol = IPPROTO_UDP,
		.from = &a.sa,
		.to = &a.sa,
		.data = data,
		.len = sizeof(data)};

	cr_expect_eq(udp_packet_send(-1, &u), -EMSGSIZE);
}

/* What is not local would leave the machine. */
Test(udp_packet, local)
{
	union any yes = addr("127.9.9.9", 0), no = addr("198.51.100.1", 0),
		  group = addr("239.1.2.3", 0);

	cr_expect(udp_packet_local(&yes.sa));
	cr_expect(!udp_packet_local(&no.sa));
	cr_expect(!udp_packet_local(&group.sa));
}

static int find(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	const struct rtattr *a = rtnl_attr(IFA_RTA(m), IFA_PAYLOAD(h), IFA_LOCAL);
	uint32_t want = htonl(INADDR_LOOPBACK);

	if (m->ifa_family == AF_INET && a && memcmp(RTA_DATA(a), &want, sizeof(want)) == 0)
		*(int *)arg = (int)m->ifa_index;
	return 0;
}

Test(rtnl, addresses)
{
	int at = 0;

	cr_assert_eq(rtnl_dump(RTM_GETADDR, find, &at), 0);
	cr_expect_eq(at, 1, "127.0.0.1 is on interface %d", at);
}

Test(rtnl, refuses)
{
	struct ifaddrmsg m = {.ifa_family = AF_INET, .ifa_prefixlen = 33, .ifa_index = 1};
	int r = rtnl_send(RTM_NEWADDR, 0, &m, sizeof(m));

	cr_expect(r == -EINVAL || r == -EPERM, "got %d", r);
}
