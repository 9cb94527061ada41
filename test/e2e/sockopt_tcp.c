/*
 * e2e: args: new listening connected
 *
 * Holds: TCP sockets with options at values that a new one has not. new: each in a socket of its own, and all
 *        with those of SOL_SOCKET, IP and IPv6. listening: all that a listening socket hands down, of which a new
 *        connection has what it hands down. connected: both ends of connections, one end of each with options.
 * Shows: "Window, MSS, ... congestion control with its name, keepalive, cork, nodelay, user timeout, linger ...",
 *        socket options round-tripped by a table.
 */
#include "sockopt.h"
#include <netinet/tcp.h>

/* What a connection may have at any time. */
static const struct opt tcp_opts[] = {
	INT(IPPROTO_TCP, TCP_NODELAY, 1),
	INT(IPPROTO_TCP, TCP_KEEPIDLE, 77),
	INT(IPPROTO_TCP, TCP_KEEPINTVL, 11),
	INT(IPPROTO_TCP, TCP_KEEPCNT, 4),
	INT(IPPROTO_TCP, TCP_SYNCNT, 3),
	INT(IPPROTO_TCP, TCP_LINGER2, 17),
	INT(IPPROTO_TCP, TCP_USER_TIMEOUT, 12345),
	INT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1),
	INT(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384),
	INT(IPPROTO_TCP, TCP_INQ, 1),
	INT(IPPROTO_TCP, 44 /* TCP_RTO_MAX_MS */, 9000),
	INT(IPPROTO_TCP, 45 /* TCP_RTO_MIN_US */, 120000),
	INT(IPPROTO_TCP, 46 /* TCP_DELACK_MAX_US */, 40000),
	INT(IPPROTO_TCP, TCP_CORK, 1),
	INT(IPPROTO_TCP, 37 /* TCP_TX_DELAY */, 1),
	TEXT(IPPROTO_TCP, TCP_CONGESTION, "reno"),
	INT(SOL_SOCKET, SO_KEEPALIVE, 1),
	INT(SOL_SOCKET, 74 /* SO_TXREHASH */, 1),
	ANY(SOL_SOCKET, SO_LINGER, struct linger, {1, 9}),
	INT(IPPROTO_IP, IP_TOS, 0x10),
};

/* What means something before there is a connection. */
static const struct opt early_opts[] = {
	INT(IPPROTO_TCP, TCP_MAXSEG, 900),
	INT(IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000),
	INT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1),
	INT(IPPROTO_TCP, 34 /* TCP_FASTOPEN_NO_COOKIE */, 1),
	INT(IPPROTO_TCP, TCP_SAVE_SYN, 1),
	TOLD(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3, 3),
};

static const struct opt queue = INT(IPPROTO_TCP, TCP_FASTOPEN, 5);

static void opts_new(void)
{
	CHECK(hold_each(tcp_opts, COUNT(tcp_opts), AF_INET, SOCK_STREAM, 0) > 14, "too few");
	CHECK(hold_each(early_opts, COUNT(early_opts), AF_INET, SOCK_STREAM, 0) > 4, "too few");
	hold_all(tcp_opts, COUNT(tcp_opts), AF_INET, SOCK_STREAM, 0);
	hold_all(sock_opts, COUNT(sock_opts), AF_INET, SOCK_STREAM, 0);
	if (inet_has_v6())
		hold_all(tcp_opts, COUNT(tcp_opts), AF_INET6, SOCK_STREAM, 0);
	wait_and_look();
}

static int connect_to(int listener)
{
	int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));

	inet_connect(fd, "127.0.0.1", inet_port(listener));
	return fd;
}

static void opts_listening(void)
{
	int fd = inet_bound(SOCK_STREAM, 0, "127.0.0.1", 0), client, server, n;

	hold_in(fd, tcp_opts, COUNT(tcp_opts));
	hold_in(fd, early_opts, COUNT(early_opts) - 1); /* nobody waits for data */
	MUST(listen(fd, 7));
	CHECK(hold_in(fd, &queue, 1) == 1, "no TCP_FASTOPEN");
	wait_and_look();
	client = connect_to(fd);
	server = MUST(accept(fd, NULL, NULL));
	for (size_t i = 0; i < 4; i++) { /* the first few are handed down */
		n = inet_get(server, IPPROTO_TCP, tcp_opts[i].opt);
		CHECK(n == *(const int *)tcp_opts[i].value, "%s of a new connection: %d",
			tcp_opts[i].name, n);
	}
	close(client);
}

/* Of each option a connection, and one with all of them: no other end has any. */
static void opts_connected(void)
{
	int fd = inet_bound(SOCK_STREAM, 0, "127.0.0.1", 0), at[2], n = 0;

	MUST(listen(fd, 100));
	for (size_t i = 0; i <= COUNT(tcp_opts); i++) {
		at[0] = connect_to(fd);
		at[1] = MUST(accept(fd, NULL, NULL));
		n += hold_in(at[i % 2], tcp_opts + i % COUNT(tcp_opts),
			i < COUNT(tcp_opts) ? 1 : COUNT(tcp_opts));
	}
	CHECK(n > 28, "too few: %d", n);
	wait_and_look();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"new", opts_new}, {"listening", opts_listening}, {"connected", opts_connected}};

	return victim_cases(argc, argv, cases, COUNT(cases));
}
