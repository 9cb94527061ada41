/*
 * A TCP connection with both ends in this process, through every kind of address, with data under
 * way in both directions: what was written is read in full, once, in order, and both ends still talk.
 *
 * e2e: args: v4 v6 mapped any narrow
 */
#include "tcp.h"

#include <arpa/inet.h>

#define UNREAD 5000

static int family;
static struct sockaddr_storage at;
static socklen_t at_len;

static void address(const char *how)
{
	struct sockaddr_in *in = (void *)&at;
	struct sockaddr_in6 *in6 = (void *)&at;

	family = !strcmp(how, "v4") || !strcmp(how, "any") ? AF_INET : AF_INET6;
	at_len = family == AF_INET ? sizeof(*in) : sizeof(*in6);
	at.ss_family = family;
	if (family == AF_INET)
		in->sin_addr.s_addr = htonl(strcmp(how, "any") ? INADDR_LOOPBACK : INADDR_ANY);
	else
		CHECK(inet_pton(AF_INET6, strcmp(how, "v6") ? "::ffff:127.0.0.1" : "::1",
			      &in6->sin6_addr) == 1,
			"inet_pton");
}

static uint8_t byte_at(size_t i, int seed)
{
	return (uint8_t)((i * 2654435761U >> 13) + seed);
}

static void put(int fd, size_t len, int seed)
{
	uint8_t buf[UNREAD];

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(i, seed);
	CHECK(send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len, "send: %s", strerror(errno));
}

static void get(int fd, size_t len, int seed)
{
	uint8_t buf[UNREAD];
	ssize_t n = recv(fd, buf, len, MSG_WAITALL);

	CHECK(n == (ssize_t)len, "recv: expected %zu, got %zd (%s)", len, n, strerror(errno));
	for (size_t i = 0; i < len; i++)
		CHECK(buf[i] == byte_at(i, seed), "byte %zu: expected %d, got %d", i,
			byte_at(i, seed), buf[i]);
}

struct ends {
	struct sockaddr_storage name, peer;
};

static void look(int fd, struct ends *e)
{
	socklen_t len = sizeof(e->name);

	memset(e, 0, sizeof(*e));
	MUST(getsockname(fd, (struct sockaddr *)&e->name, &len));
	len = sizeof(e->peer);
	MUST(getpeername(fd, (struct sockaddr *)&e->peer, &len));
}

int main(int argc, char **argv)
{
	struct ends before[2], after[2];
	unsigned mss[2];
	int l, c, s, narrow = 8000; /* the windows of both ends */

	victim_init(argc, argv);
	address(argv[1]);
	l = MUST(socket(family, SOCK_STREAM, 0));
	if (!strcmp(argv[1], "narrow"))
		MUST(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &narrow, sizeof(narrow)));
	MUST(bind(l, (struct sockaddr *)&at, at_len));
	MUST(listen(l, 7));
	MUST(getsockname(l, (struct sockaddr *)&at, &at_len));
	c = MUST(socket(family, SOCK_STREAM, 0));
	if (!strcmp(argv[1], "narrow"))
		MUST(setsockopt(c, SOL_SOCKET, SO_RCVBUF, &narrow, sizeof(narrow)));
	MUST(connect(c, (struct sockaddr *)&at, at_len));
	s = MUST(accept(l, NULL, NULL));
	put(c, UNREAD, 1);
	get(s, 100, 1);
	put(c, 1000, 2);
	put(s, 300, 3);
	look(c, &before[0]);
	look(s, &before[1]);
	mss[0] = tcp_mss(c);
	mss[1] = tcp_mss(s);

	victim_ready();
	victim_wait();

	look(c, &after[0]);
	look(s, &after[1]);
	CHECK(memcmp(before, after, sizeof(before)) == 0, "the addresses have changed");
	tcp_mss_as_large(c, mss[0]);
	tcp_mss_as_large(s, mss[1]);
	get(c, 300, 3);
	for (size_t i = 100; i < UNREAD; i++) {
		uint8_t b;

		CHECK(recv(s, &b, 1, MSG_DONTWAIT) == 1, "byte %zu: %s", i, strerror(errno));
		CHECK(b == byte_at(i, 1), "byte %zu: expected %d, got %d", i, byte_at(i, 1), b);
	}
	get(s, 1000, 2);
	for (int i = 0; i < 50; i++) {
		put(c, 4000, i);
		put(s, 2000, i + 1);
		get(s, 4000, i);
		get(c, 2000, i + 1);
	}
	/* the listener goes on as well */
	close(c);
	CHECK(recv(s, &family, sizeof(family), 0) == 0, "no end: %s", strerror(errno));
	c = MUST(socket(at.ss_family, SOCK_STREAM, 0));
	MUST(connect(c, (struct sockaddr *)&at, at_len));
	close(s);
	s = MUST(accept(l, NULL, NULL));
	put(c, 100, 9);
	get(s, 100, 9);
	return 0;
}
