/*
 * e2e: args: stream dgram seqpacket queued full half-a half-b both-shut gone reset options blocked bound
 *
 * Holds: socketpairs of each type; with data in both directions, with a full buffer; shut in either
 *        direction, or in both; whose other end is closed, with data, or has thrown data away; with other
 *        sizes of buffers and options; with a thread blocked in a read; bound to names afterwards.
 * Shows: Unix sockets: socketpairs.
 */
#include "unix.h"

static int p[2];

static void pair(int type)
{
	MUST(socketpair(AF_UNIX, type, 0, p));
}

static void pair_of(int type)
{
	pair(type | SOCK_CLOEXEC);
	MUST(fcntl(p[1], F_SETFL, O_NONBLOCK));
	unix_handshake(p, 2);
	unix_expect_nothing(p[0], "first");
	unix_expect_nothing(p[1], "second");
	unix_expect_talk(p[0], p[1], "pair");
}

static void pair_stream(void)
{
	pair_of(SOCK_STREAM);
}

static void pair_dgram(void)
{
	pair_of(SOCK_DGRAM);
}

static void pair_seqpacket(void)
{
	pair_of(SOCK_SEQPACKET);
}

/* A stream with some of it read, packets with their boundaries. */
static void pair_queued(void)
{
	static const int type[] = {SOCK_DGRAM, SOCK_SEQPACKET};
	static const int len[] = {5, 4000, 1, 77, 100, 3};
	int fd[6];

	pair(SOCK_STREAM);
	memcpy(fd, p, sizeof(p));
	for (int i = 0; i < 10; i++)
		fds_put(p[0], 1, i * 3001, 3001);
	fds_expect_read(p[1], 1, 0, 5000, "the test is broken");
	fds_put(p[1], 2, 0, 12345);
	for (int t = 0; t < 2; t++) {
		pair(type[t]);
		memcpy(fd + 2 + 2 * t, p, sizeof(p));
		for (int i = 0; i < 6; i++)
			unix_send(p[0], 10 + i, len[i], NULL, 0);
		unix_send(p[1], 20, 30, NULL, 0);
	}
	unix_handshake(fd, 6);
	fds_expect_read(fd[1], 1, 5000, 30010 - 5000, "first to second");
	fds_expect_read(fd[0], 2, 0, 12345, "second to first");
	for (int t = 1; t < 3; t++) {
		for (int i = 0; i < 6; i++)
			unix_expect_packet(fd[2 * t + 1], 10 + i, len[i], "packets");
		unix_expect_packet(fd[2 * t], 20, 30, "packets");
	}
	for (int i = 0; i < 6; i += 2)
		unix_expect_talk(fd[i], fd[i + 1], "afterwards");
}

static void pair_full(void)
{
	size_t n = 0;
	char c = 'x';

	pair(SOCK_STREAM | SOCK_NONBLOCK);
	while (write(p[0], &(char){fds_byte(3, n)}, 1) == 1)
		n++;
	CHECK(errno == EAGAIN, "the test is broken: %s", strerror(errno));
	fcntl(p[1], F_SETFL, 0);
	victim_say("%zu bytes fit", n);
	victim_ready();
	victim_wait();
	fds_expect_read(p[1], 3, 0, n, "contents");
	unix_expect_nothing(p[1], "afterwards");
	unix_expect_talk(p[0], p[1], "afterwards");
	(void)c;
}

static void pair_half(int end)
{
	pair(SOCK_STREAM);
	fds_put(p[0], 4, 0, 1000);
	fds_put(p[1], 5, 0, 2000);
	MUST(shutdown(p[end], SHUT_WR));
	unix_handshake(p, 2);
	fds_expect_read(p[1], 4, 0, 1000, "first to second");
	fds_expect_read(p[0], 5, 0, 2000, "second to first");
	unix_expect_end(p[!end], "after a shutdown");
	CHECK(send(p[end], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "it sends still");
	unix_send(p[!end], 6, 10, NULL, 0);
	unix_expect_packet(p[end], 6, 10, "the other direction");
}

static void pair_half_a(void)
{
	pair_half(0);
}

static void pair_half_b(void)
{
	pair_half(1);
}

static void pair_both_shut(void)
{
	int fd[4];

	pair(SOCK_SEQPACKET);
	memcpy(fd, p, sizeof(p));
	unix_send(p[0], 7, 100, NULL, 0);
	MUST(shutdown(p[0], SHUT_RDWR));
	pair(SOCK_STREAM);
	memcpy(fd + 2, p, sizeof(p));
	MUST(shutdown(p[0], SHUT_RD));
	unix_handshake(fd, 4);
	unix_expect_packet(fd[1], 7, 100, "before it was shut");
	unix_expect_end(fd[1], "second");
	unix_expect_end(fd[0], "first");
	unix_expect_end(fd[2], "shut for reading");
	CHECK(send(fd[3], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "it sends still");
	unix_send(fd[2], 8, 10, NULL, 0);
	unix_expect_packet(fd[3], 8, 10, "the other direction");
}

static void pair_gone(void)
{
	int fd[3];

	pair(SOCK_STREAM);
	fd[0] = p[0];
	fds_put(p[1], 8, 0, 70000);
	close(p[1]);
	pair(SOCK_SEQPACKET);
	fd[1] = p[0];
	unix_send(p[1], 9, 50, NULL, 0);
	unix_send(p[1], 10, 60, NULL, 0);
	close(p[1]);
	pair(SOCK_DGRAM);
	fd[2] = p[0];
	unix_send(p[1], 9, 50, NULL, 0);
	close(p[1]);
	unix_handshake(fd, 3);
	fds_expect_read(fd[0], 8, 0, 70000, "stream");
	unix_expect_end(fd[0], "stream");
	CHECK(send(fd[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "it sends still");
	unix_expect_packet(fd[1], 9, 50, "packet");
	unix_expect_packet(fd[1], 10, 60, "packet");
	unix_expect_end(fd[1], "packets");
	unix_expect_packet(fd[2], 9, 50, "datagram");
	unix_expect_nothing(fd[2], "datagrams");
	CHECK(send(fd[2], "x", 1, MSG_NOSIGNAL) == -1 && errno == ECONNREFUSED, "datagram: %s",
		strerror(errno));
}

static void pair_reset(void)
{
	struct unix_got got;

	pair(SOCK_STREAM);
	fds_put(p[1], 8, 0, 7000);
	fds_put(p[0], 9, 0, 100);
	close(p[1]);
	unix_handshake(p, 1);
	fds_expect_read(p[0], 8, 0, 7000, "what came before");
	got = unix_recv(p[0], 0, 0, 1, 0);
	CHECK(got.len == -ECONNRESET, "expected ECONNRESET, got %zd", got.len);
	unix_expect_end(p[0], "after the error");
}

static void pair_options(void)
{
	int small = 4096, large = 1 << 20, one = 1, fd[4];
	struct timeval limit = {3, 500000};

	pair(SOCK_STREAM);
	memcpy(fd, p, sizeof(p));
	MUST(setsockopt(p[0], SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large)));
	MUST(setsockopt(p[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	fds_put(p[0], 1, 0, 900000);
	/* what was sent before the buffer became that small */
	MUST(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	MUST(fchmod(p[0], 0640));
	pair(SOCK_DGRAM);
	memcpy(fd + 2, p, sizeof(p));
	MUST(setsockopt(p[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	MUST(setsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &(int){3}, sizeof(int)));
	unix_send(p[0], 5, 10, NULL, 0);
	unix_handshake(fd, 4);
	fds_expect_read(fd[1], 1, 0, 900000, "contents");
	limit.tv_sec = 0;
	MUST(getsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &limit, &(socklen_t){sizeof(limit)}));
	CHECK(limit.tv_sec == 3 && limit.tv_usec == 500000, "SO_RCVTIMEO: %ld", limit.tv_sec);
	CHECK(unix_recv(fd[3], 5, 3, 100, MSG_PEEK).len == 7, "SO_PEEK_OFF is of no effect");
	unix_expect_packet(fd[3], 5, 10, "datagram");
}

static void *pair_reader(void *arg)
{
	fds_expect_read(*(int *)arg, 9, 0, 1000, "the blocked reader");
	return NULL;
}

static void pair_blocked(void)
{
	pthread_t t;

	pair(SOCK_STREAM);
	t = victim_thread(pair_reader, &p[1]);
	usleep(50000);
	unix_handshake(p, 2);
	fds_put(p[0], 9, 0, 1000);
	pthread_join(t, NULL);
}

/* An end of a pair can be given a name. */
static void pair_bound(void)
{
	struct sockaddr_un a;
	int fd[4];

	pair(SOCK_STREAM);
	memcpy(fd, p, sizeof(p));
	MUST(bind(p[0], (void *)&a, unix_addr(&a, unix_own_name("@pair"))));
	pair(SOCK_DGRAM);
	memcpy(fd + 2, p, sizeof(p));
	MUST(bind(p[1], (void *)&a, unix_addr(&a, "pair.sock")));
	unix_handshake(fd, 4);
	unix_expect_talk(fd[0], fd[1], "stream");
	unix_expect_talk(fd[2], fd[3], "datagram");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"stream", pair_stream}, {"dgram", pair_dgram},
		{"seqpacket", pair_seqpacket}, {"queued", pair_queued}, {"full", pair_full},
		{"half-a", pair_half_a}, {"half-b", pair_half_b}, {"both-shut", pair_both_shut},
		{"gone", pair_gone}, {"reset", pair_reset}, {"options", pair_options},
		{"blocked", pair_blocked}, {"bound", pair_bound}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
