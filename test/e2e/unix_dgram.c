/*
 * e2e: args: many gone-sender gone-peer mutual chain full large peek
 *
 * Holds: a bound datagram socket with messages of several senders, bound and not, connected and not, dead
 *        and alive; a socket that is connected to one that is closed; two that are connected to each
 *        other by name; a chain of connections; a receiver with as many messages as it takes; large
 *        ones; a peek offset.
 * Shows: Unix sockets: connected datagram with many senders, SO_PEEK_OFF.
 */
#include "unix.h"

static void send_to(int s, const char *name, int seed, size_t len)
{
	char buf[4096];
	struct sockaddr_un a;
	socklen_t alen = unix_addr(&a, name);

	for (size_t i = 0; i < len; i++)
		buf[i] = fds_byte(seed, i);
	CHECK(sendto(s, buf, len, 0, (void *)&a, alen) == (ssize_t)len, "sendto: %s",
		strerror(errno));
}

/* @name: NULL: from somebody without a name */
static void expect_from(int fd, int seed, ssize_t len, const char *name)
{
	struct unix_got got = unix_recv(fd, seed, 0, 1 << 20, 0);
	struct sockaddr_un a;
	socklen_t alen = name ? unix_addr(&a, name) : 0;

	CHECK(got.len == len, "message %d: expected %zd bytes, got %zd", seed, len, got.len);
	CHECK(name || got.from_len <= sizeof(sa_family_t), "message %d has a sender: '%s'", seed,
		got.from.sun_path);
	CHECK(!name || (got.from_len == alen && !memcmp(&got.from, &a, alen)),
		"message %d: expected sender '%s', got '%.*s' of %u", seed, name,
		(int)sizeof(a.sun_path), got.from.sun_path, got.from_len);
}

static void dgram_many(void)
{
	const char *abstract = unix_own_name("@sender");
	int fd[5];

	fd[0] = unix_bound(SOCK_DGRAM, "to.sock");
	fd[1] = unix_bound(SOCK_DGRAM, "from.sock");
	fd[2] = unix_bound(SOCK_DGRAM, abstract);
	unix_connect(fd[2], "to.sock");
	fd[3] = unix_client(SOCK_DGRAM, "to.sock");
	fd[4] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	send_to(fd[1], "to.sock", 1, 10);
	unix_send(fd[2], 2, 20, NULL, 0);
	unix_send(fd[3], 3, 30, NULL, 0);
	send_to(fd[4], "to.sock", 4, 40);
	send_to(fd[1], "to.sock", 5, 0);
	unix_send(fd[2], 6, 4096, NULL, 0);
	unix_handshake(fd, 5);
	expect_from(fd[0], 1, 10, "from.sock");
	expect_from(fd[0], 2, 20, abstract);
	expect_from(fd[0], 3, 30, NULL);
	expect_from(fd[0], 4, 40, NULL);
	expect_from(fd[0], 5, 0, "from.sock");
	expect_from(fd[0], 6, 4096, abstract);
	unix_expect_nothing(fd[0], "after all");
	unix_send(fd[2], 7, 70, NULL, 0);
	expect_from(fd[0], 7, 70, abstract);
	send_to(fd[0], "from.sock", 8, 80);
	expect_from(fd[1], 8, 80, "to.sock");
}

static void dgram_gone_sender(void)
{
	const char *abstract = unix_own_name("@dead");
	int fd[1], s;

	fd[0] = unix_bound(SOCK_DGRAM, "to.sock");
	s = unix_bound(SOCK_DGRAM, "dead.sock");
	send_to(s, "to.sock", 1, 10);
	close(s);
	MUST(unlink("dead.sock"));
	s = unix_bound(SOCK_DGRAM, abstract);
	send_to(s, "to.sock", 2, 20);
	close(s);
	s = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	send_to(s, "to.sock", 3, 30);
	close(s);
	unix_handshake(fd, 1);
	CHECK(access("dead.sock", F_OK) < 0, "a file of the dead sender is there");
	expect_from(fd[0], 1, 10, "dead.sock");
	expect_from(fd[0], 2, 20, abstract);
	expect_from(fd[0], 3, 30, NULL);
	close(unix_bound(SOCK_DGRAM, abstract));
}

static void dgram_gone_peer(void)
{
	int fd[2], to = unix_bound(SOCK_DGRAM, "peer.sock");

	fd[0] = unix_client(SOCK_DGRAM, "peer.sock");
	close(to);
	to = unix_bound(SOCK_DGRAM, unix_own_name("@peer"));
	fd[1] = unix_bound(SOCK_DGRAM, "own.sock");
	unix_connect(fd[1], unix_own_name("@peer"));
	close(to);
	unix_handshake(fd, 2);
	for (int i = 0; i < 2; i++) {
		CHECK(send(fd[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == ECONNREFUSED,
			"%d: the peer is gone: %s", i, strerror(errno));
		CHECK(send(fd[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == ENOTCONN,
			"%d: it is not connected any more: %s", i, strerror(errno));
	}
}

static void dgram_mutual(void)
{
	const char *a = unix_own_name("@a");
	int fd[3], stranger;

	fd[0] = unix_bound(SOCK_DGRAM, a);
	fd[1] = unix_bound(SOCK_DGRAM, "b.sock");
	fd[2] = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	send_to(fd[2], a, 1, 10);
	unix_connect(fd[1], a);
	unix_connect(fd[0], "b.sock");
	/* a peer may send more than the queue takes of others */
	for (int i = 0; i < 20; i++)
		unix_send(fd[1], 2 + i, 100 + i, NULL, 0);
	unix_send(fd[0], 50, 500, NULL, 0);
	unix_handshake(fd, 3);
	expect_from(fd[0], 1, 10, NULL);
	for (int i = 0; i < 20; i++)
		expect_from(fd[0], 2 + i, 100 + i, "b.sock");
	expect_from(fd[1], 50, 500, a);
	unix_expect_talk(fd[0], fd[1], "afterwards");
	stranger = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	struct sockaddr_un to;
	socklen_t len = unix_addr(&to, a);
	CHECK(sendto(stranger, "x", 1, 0, (void *)&to, len) == -1 && errno == EPERM,
		"a stranger can send: %s", strerror(errno));
}

/* a -> b -> c, and d -> b */
static void dgram_chain(void)
{
	int fd[4];

	fd[0] = unix_bound(SOCK_DGRAM, "a.sock");
	fd[1] = unix_bound(SOCK_DGRAM, "b.sock");
	fd[2] = unix_bound(SOCK_DGRAM, "c.sock");
	fd[3] = unix_bound(SOCK_DGRAM, "d.sock");
	unix_connect(fd[0], "b.sock");
	unix_connect(fd[3], "b.sock");
	unix_send(fd[0], 1, 100, NULL, 0);
	unix_send(fd[3], 2, 200, NULL, 0);
	unix_connect(fd[1], "c.sock");
	unix_send(fd[1], 3, 300, NULL, 0);
	unix_handshake(fd, 4);
	expect_from(fd[1], 1, 100, "a.sock");
	expect_from(fd[1], 2, 200, "d.sock");
	expect_from(fd[2], 3, 300, "b.sock");
	CHECK(send(fd[0], "x", 1, 0) == -1 && errno == EPERM, "b takes of c alone: %s",
		strerror(errno));
}

static void dgram_full(void)
{
	int fd[2], n = 0;

	fd[0] = unix_bound(SOCK_DGRAM, "full.sock");
	fd[1] = unix_client(SOCK_DGRAM | SOCK_NONBLOCK, "full.sock");
	while (send(fd[1], &(char){fds_byte(n, 0)}, 1, 0) == 1)
		n++;
	CHECK(errno == EAGAIN, "the test is broken: %s", strerror(errno));
	unix_handshake(fd, 2);
	CHECK(send(fd[1], "x", 1, 0) == -1 && errno == EAGAIN, "it takes more: %s",
		strerror(errno));
	for (int i = 0; i < n; i++)
		expect_from(fd[0], i, 1, NULL);
	unix_expect_nothing(fd[0], "after all");
}

static void dgram_large(void)
{
	static char buf[900000];
	int p[2], size = 2000000;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = fds_byte(1, i);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	MUST(setsockopt(p[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)));
	unix_send(p[0], 2, 10, NULL, 0);
	MUST(send(p[0], buf, sizeof(buf), 0));
	unix_send(p[0], 3, 10, NULL, 0);
	unix_handshake(p, 2);
	unix_expect_packet(p[1], 2, 10, "before");
	unix_expect_packet(p[1], 1, sizeof(buf), "large");
	unix_expect_packet(p[1], 3, 10, "after");
}

static void dgram_peek(void)
{
	int fd[1], s;

	fd[0] = unix_bound(SOCK_DGRAM, "peek.sock");
	s = unix_client(SOCK_DGRAM, "peek.sock");
	for (int i = 0; i < 3; i++)
		unix_send(s, i, 100, NULL, 0);
	close(s);
	MUST(setsockopt(fd[0], SOL_SOCKET, SO_PEEK_OFF, &(int){130}, sizeof(int)));
	unix_handshake(fd, 1);
	CHECK(unix_recv(fd[0], 1, 30, 1000, MSG_PEEK).len == 70, "the peek offset is of no effect");
	CHECK(unix_opt(fd[0], SO_PEEK_OFF) == 200, "SO_PEEK_OFF is %d", unix_opt(fd[0], 42));
	unix_expect_packet(fd[0], 0, 100, "first");
	unix_expect_packet(fd[0], 1, 100, "second");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"many", dgram_many},
		{"gone-sender", dgram_gone_sender}, {"gone-peer", dgram_gone_peer},
		{"mutual", dgram_mutual}, {"chain", dgram_chain}, {"full", dgram_full},
		{"large", dgram_large}, {"peek", dgram_peek}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
