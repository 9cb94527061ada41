/*
 * Messages that are made lead to the errno that they are made for, and nothing else than an error is sent.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/icmp_packet.h"
#include "kernel/udp_packet.h"

static void leads_to(const char *ip, int error, bool expected)
{
	struct sockaddr_in6 a = {0};
	struct sockaddr_in *a4 = (void *)&a;
	socklen_t len = strchr(ip, ':') ? sizeof(a) : sizeof(*a4), err_len = sizeof(int);
	bool four = len == sizeof(*a4);
	uint8_t packet[ICMP_PACKET_MADE_MAX];
	int raw, fd, one = 1, err = 0;
	struct pollfd p;
	size_t n;

	a.sin6_family = four ? AF_INET : AF_INET6;
	inet_pton(a.sin6_family, ip, four ? (void *)&a4->sin_addr : (void *)&a.sin6_addr);
	fd = socket(a.sin6_family, SOCK_DGRAM, 0);
	raw = udp_packet_socket(a.sin6_family);
	if (fd < 0 || raw < 0 || bind(fd, (void *)&a, len) < 0)
		cr_skip("no raw sockets, or no %s", ip);
	getsockname(fd, (void *)&a, &len);
	cr_assert_eq(setsockopt(fd, four ? IPPROTO_IP : IPPROTO_IPV6,
			     four ? IP_RECVERR : IPV6_RECVERR, &one, sizeof(one)),
		0);
	n = icmp_packet_make(error, IPPROTO_UDP, (void *)&a, (void *)&a, packet);
	cr_assert_eq(n != 0, expected, "%s %d", ip, error);
	if (n) {
		cr_assert_leq(n, ICMP_PACKET_MADE_MAX);
		cr_assert_eq(icmp_packet_family(packet, n), a.sin6_family);
		cr_assert_eq(icmp_packet_send(raw, packet, n), 0);
		p = (struct pollfd){.fd = fd};
		cr_assert_eq(poll(&p, 1, 2000), 1, "%s: %s does not arrive", ip, strerror(error));
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_len);
		cr_assert_eq(err, error, "%s: %s became %s", ip, strerror(error), strerror(err));
	}
	close(fd);
	close(raw);
}

Test(icmp_packet, made)
{
	static const int both[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPROTO};
	static const int four[] = {ENOPROTOOPT, EOPNOTSUPP, EHOSTDOWN, ENONET};

	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
		leads_to("127.0.0.1", both[i], true);
		leads_to("::1", both[i], true);
	}
	for (size_t i = 0; i < sizeof(four) / sizeof(*four); i++)
		leads_to("127.0.0.1", four[i], true);
	leads_to("::1", EACCES, true);
	leads_to("127.0.0.1", EIO, false);
	leads_to("::1", ENOPROTOOPT, false);
}

/* Of an image, which may say anything. */
Test(icmp_packet, no_error)
{
	uint8_t p[64] = {0x45};

	p[9] = IPPROTO_ICMP;
	p[20] = 3;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), AF_INET);
	cr_assert_eq(icmp_packet_family(p, 27), -EINVAL, "it is too short");
	cr_assert_eq(icmp_packet_family(p, 0), -EINVAL);
	p[0] = 0x4f;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "its header is too long");
	p[0] = 0x41;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "its header is too short");
	p[0] = 0x45;
	p[20] = 8;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "an echo request");
	p[20] = 5;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "a redirect");
	p[20] = 3;
	p[9] = IPPROTO_UDP;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "UDP");
	memset(p, 0, sizeof(p));
	p[0] = 0x60;
	p[6] = IPPROTO_ICMPV6;
	p[40] = 1;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), AF_INET6);
	p[40] = 134;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "a router's advertisement");
	p[40] = 1;
	p[0] = 0x50;
	cr_assert_eq(icmp_packet_family(p, sizeof(p)), -EINVAL, "IP of no version");
}

/* It would leave the machine. */
Test(icmp_packet, elsewhere)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
	uint8_t packet[ICMP_PACKET_MADE_MAX];
	size_t n =
		icmp_packet_make(ECONNREFUSED, IPPROTO_UDP, (void *)&here, (void *)&here, packet);
	int raw = udp_packet_socket(AF_INET);

	if (raw < 0)
		cr_skip("no raw sockets");
	cr_assert_eq(icmp_packet_send(raw, packet, n), -ENETUNREACH);
	close(raw);
}
