/*
 * sock_held.c - what this process holds back itself, seen from outside, and still sent as it was afterwards.
 *
 * In a network namespace of its own, whose loopback device has the packets of an Ethernet: so a datagram takes
 * several buffers.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/kmem.h"
#include "kernel/sock_held.h"

#define MTU 1500

static struct kmem kmem;
static struct sock_held_reader *reader;

static void setup(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int r, fd;

	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("no network namespace of its own");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	lo.ifr_mtu = MTU;
	cr_assert_eq(ioctl(fd, SIOCSIFMTU, &lo), 0);
	close(fd);
	r = kmem_open(&kmem);
	if (r == 0)
		r = sock_held_open(&kmem, &reader);
	if (r == -ENOENT || r == -EPERM || r == -EINVAL)
		cr_skip_test("the memory of the kernel can't be read here");
	cr_assert_eq(r, 0, "%s", strerror(-r));
}

static void teardown(void)
{
	sock_held_close(reader);
	kmem_close(&kmem);
}

TestSuite(sock_held, .init = setup, .fini = teardown);

static int held(int fd, int family, bool raw, struct sock_held *ret)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return sock_held_read(reader, fd, st.st_ino, family, raw, ret);
}

/* A receiver, and its address. */
static int receiver(const char *ip, struct sockaddr_in6 *ret, socklen_t *ret_len)
{
	struct sockaddr_in *in = (void *)ret;
	int fd;

	memset(ret, 0, sizeof(*ret));
	*ret_len = sizeof(*in);
	if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
	} else {
		cr_assert_eq(inet_pton(AF_INET6, ip, &ret->sin6_addr), 1);
		ret->sin6_family = AF_INET6;
		*ret_len = sizeof(*ret);
	}
	fd = socket(in->sin_family, SOCK_DGRAM, 0);
	if (bind(fd, (void *)ret, *ret_len) < 0)
		cr_skip_test("no IPv6");
	getsockname(fd, (void *)ret, ret_len);
	return fd;
}

static uint8_t *noise(size_t len)
{
	uint8_t *data = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 131 + i / 251);
	return data;
}

/* In @n pieces; then it is looked at twice, sent, and received. */
static void check(const char *ip, size_t len, size_t n, int segment)
{
	struct sockaddr_in6 to;
	struct sock_held h;
	socklen_t to_len;
	int in = receiver(ip, &to, &to_len);
	int family = to_len == sizeof(to) ? AF_INET6 : AF_INET;
	int out = socket(family, SOCK_DGRAM, 0), zero = 0;
	int r;
	uint8_t *data = noise(len), *got = malloc(len + 1);
	const void *addr = family == AF_INET ? (void *)&((struct sockaddr_in *)&to)->sin_addr
					     : (void *)&to.sin6_addr;

	cr_assert_eq(held(out, family, false, &h), 0, "nothing is held back");
	if (segment)
		cr_assert_eq(setsockopt(out, IPPROTO_UDP, 103, &segment, sizeof(segment)), 0);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(
			sendto(out, data + len / n * i, len / n, MSG_MORE, (void *)&to, to_len),
			(ssize_t)(len / n));
	for (int i = 0; i < 2; i++) {
		r = held(out, family, false, &h);
		cr_assert_eq(r, 1, "%d", r);
		cr_assert_eq(h.family, family);
		cr_assert_eq(memcmp(h.to, addr, family == AF_INET ? 4 : 16), 0);
		cr_assert_eq(memcmp(h.from, addr, family == AF_INET ? 4 : 16), 0);
		cr_assert_eq(h.port, ((struct sockaddr_in *)&to)->sin_port);
		cr_assert_str_eq(h.device, "lo");
		cr_assert_eq(h.segment, segment);
		cr_assert_eq(h.len, len, "%zu", h.len);
		cr_assert_eq(memcmp(h.data, data, len), 0, "the bytes are others");
		free(h.data);
	}
	cr_assert_eq(setsockopt(out, IPPROTO_UDP, 1 /* UDP_CORK */, &zero, sizeof(zero)), 0);
	cr_assert_eq(held(out, family, false, &h), 0, "it has been sent");
	for (size_t at = 0; at < len || !at; at += segment ? (size_t)segment : len + 1) {
		size_t want = segment && len - at > (size_t)segment ? (size_t)segment : len - at;

		cr_assert_eq(recv(in, got, len + 1, MSG_DONTWAIT), (ssize_t)want);
		cr_assert_eq(memcmp(got, data + at, want), 0);
	}
	free(data);
	free(got);
	close(in);
	close(out);
}

Test(sock_held, small)
{
	check("127.0.0.1", 5, 1, 0);
	check("127.0.0.1", 0, 1, 0);
	check("127.0.0.1", 30, 3, 0);
	check("::1", 30, 3, 0);
}

Test(sock_held, several_buffers)
{
	check("127.0.0.1", 60000, 1, 0);
	check("127.0.0.1", 60000, 600, 0);
	check("::1", 60000, 600, 0);
	check("::1", 1453, 1, 0);
}

Test(sock_held, segments)
{
	check("127.0.0.1", 10000, 10, 1200);
}

/* What a message brought with it, and what the socket says. */
Test(sock_held, control)
{
	struct sockaddr_in6 to;
	socklen_t to_len;
	int in = receiver("127.0.0.1", &to, &to_len), out = socket(AF_INET, SOCK_DGRAM, 0);
	char control[2 * CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)"abc", 3};
	struct msghdr m = {.msg_name = &to,
		.msg_namelen = to_len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct sock_held h;

	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
	memcpy(CMSG_DATA(c), &(int){7}, sizeof(int));
	c = CMSG_NXTHDR(&m, c);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TOS};
	memcpy(CMSG_DATA(c), &(int){0x28}, sizeof(int));
	cr_assert_eq(sendmsg(out, &m, MSG_MORE), 3);
	cr_assert_eq(held(out, AF_INET, false, &h), 1);
	cr_assert_eq(h.ttl, 7);
	cr_assert_eq(h.tos, 0x28);
	free(h.data);
	close(in);
	close(out);
}

Test(sock_held, raw)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000005)};
	int fd = socket(AF_INET, SOCK_RAW, 253);
	struct sock_held h;

	for (int i = 0; i < 3; i++)
		cr_assert_eq(sendto(fd, "raw", 3, MSG_MORE, (void *)&a, sizeof(a)), 3);
	cr_assert_eq(held(fd, AF_INET, true, &h), 1);
	cr_assert_eq(h.len, 9);
	cr_assert_eq(memcmp(h.data, "rawrawraw", 9), 0);
	cr_assert_eq(memcmp(h.to, "\0\0\0", 4), 0, "that the kernel does not keep");
	free(h.data);
	close(fd);
}
