/*
 * Connections that nobody has accepted: silent ones, one with data, one with much, one whose client has sent
 * and closed its side, one whose client is another process of the tree. They are accepted in the order in which
 * they were made, each with what its client has sent, and both ends talk on. One client has sent as much as goes
 * in (full), also where the program has chosen how much (chosen: a size at which windows have a scale of 0 yet).
 *
 * e2e: args: v4 v6 mapped any defer epoll full full6 chosen
 * e2e: needs: tcp_backlog
 * e2e: no cycle for full,full6,chosen: more goes into the buffer that is made for it
 */
#include "victim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CLIENTS 6
#define MUCH    50000

static struct sockaddr_storage at;
static socklen_t at_len;
static size_t much = MUCH; /* of client 2 */

static int family_of(const char *how)
{
	return !strcmp(how, "v6") || !strcmp(how, "full6") || !strcmp(how, "mapped") ? AF_INET6
										     : AF_INET;
}

static bool fills(const char *how)
{
	return !strncmp(how, "full", 4) || !strcmp(how, "chosen");
}

static void address(const char *how)
{
	struct sockaddr_in *in = (void *)&at;
	struct sockaddr_in6 *in6 = (void *)&at;

	at.ss_family = family_of(how);
	at_len = at.ss_family == AF_INET ? sizeof(*in) : sizeof(*in6);
	if (at.ss_family == AF_INET)
		in->sin_addr.s_addr = htonl(strcmp(how, "any") ? INADDR_LOOPBACK : INADDR_ANY);
	else
		CHECK(inet_pton(AF_INET6, strcmp(how, "mapped") ? "::1" : "::ffff:127.0.0.1",
			      &in6->sin6_addr) == 1,
			"inet_pton");
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 2654435761U >> 13);
}

static void put(int fd, size_t from, size_t len)
{
	static uint8_t buf[MUCH];

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(from + i);
	CHECK(send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len, "send: %s", strerror(errno));
}

/* As much as goes in, until nothing moves any more. Return: bytes */
static size_t fill(int fd, size_t from)
{
	static uint8_t buf[MUCH];
	size_t sum = 0;

	for (int still = 0; still < 50; still++) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = byte_at(from + sum + i);
		n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL | MSG_DONTWAIT);
		CHECK(n > 0 || errno == EAGAIN, "send: %s", strerror(errno));
		if (n > 0) {
			sum += (size_t)n;
			still = 0;
		}
		usleep(2000);
	}
	return sum;
}

static void get(int fd, size_t from, size_t len)
{
	static uint8_t buf[MUCH];

	while (len) {
		size_t part = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t n = recv(fd, buf, part, MSG_WAITALL);

		CHECK(n == (ssize_t)part, "recv at %zu: expected %zu, got %zd (%s)", from, part, n,
			strerror(errno));
		for (size_t i = 0; i < part; i++)
			CHECK(buf[i] == byte_at(from + i), "byte %zu", from + i);
		from += part;
		len -= part;
	}
}

static void at_end(int fd)
{
	char b;
	ssize_t n = recv(fd, &b, 1, 0);

	CHECK(n == 0, "expected the end, got %zd (%s)", n, n < 0 ? strerror(errno) : "data");
}

/* What each has sent before anybody accepts it. */
static size_t sent_by(int client)
{
	const size_t v[CLIENTS] = {0, 5, much, 1000, 0, 1};

	return v[client];
}

static void patience(int fd)
{
	struct timeval t = {.tv_sec = 20};

	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
}

static int client(int i, bool full)
{
	int c = MUST(socket(at.ss_family, SOCK_STREAM, 0));

	MUST(connect(c, (struct sockaddr *)&at, at_len));
	patience(c);
	if (i == 2 && full)
		much = fill(c, i);
	else if (sent_by(i))
		put(c, i, sent_by(i));
	if (i == 3)
		MUST(shutdown(c, SHUT_WR));
	return c;
}

/* The last one is of a process of its own, which waits for an answer. */
static pid_t other_process(void)
{
	pid_t pid = MUST(fork());
	int c;

	if (pid)
		return pid;
	c = client(CLIENTS - 1, false);
	get(c, CLIENTS - 1, 300);
	put(c, 70, 70);
	at_end(c);
	_exit(0);
}

static void talk(int i, int s, int c)
{
	struct sockaddr_storage a = {0}, b = {0};
	socklen_t len = sizeof(a);

	patience(s);
	MUST(getpeername(s, (struct sockaddr *)&a, &len));
	if (c >= 0) {
		len = sizeof(b);
		MUST(getsockname(c, (struct sockaddr *)&b, &len));
		CHECK(!memcmp(&a, &b, sizeof(a)), "client %d is not the one that is accepted", i);
	}
	if (sent_by(i))
		get(s, i, sent_by(i));
	if (i == 3)
		at_end(s);
	put(s, i, 300);
	if (c < 0) {
		get(s, 70, 70);
		close(s);
		return;
	}
	get(c, i, 300);
	for (int n = 0; n < 10 && i != 3; n++) {
		put(c, n, 4000);
		get(s, n, 4000);
		put(s, n, 9000);
		get(c, n, 9000);
	}
	close(s);
	at_end(c);
}

static void wait_for_all(int l)
{
	for (int i = 0; i < 2000; i++) {
		struct tcp_info info = {0};
		socklen_t len = sizeof(info);

		MUST(getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len));
		if (info.tcpi_unacked >= CLIENTS)
			return;
		usleep(1000);
	}
	CHECK(0, "nobody waits to be accepted");
}

int main(int argc, char **argv)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int l, ep = -1, c[CLIENTS], seconds = 3, status, defers, chosen = 65535;
	socklen_t len = sizeof(defers);
	pid_t pid;

	victim_init(argc, argv);
	address(argv[1]);
	l = MUST(socket(at.ss_family, SOCK_STREAM, 0));
	if (!strcmp(argv[1], "chosen"))
		MUST(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &chosen, sizeof(chosen)));
	MUST(bind(l, (struct sockaddr *)&at, at_len));
	MUST(listen(l, CLIENTS));
	MUST(getsockname(l, (struct sockaddr *)&at, &at_len));
	for (int i = 0; i < CLIENTS - 1; i++)
		c[i] = client(i, fills(argv[1]));
	c[CLIENTS - 1] = -1;
	pid = other_process();
	wait_for_all(l);
	if (!strcmp(argv[1], "defer"))
		MUST(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)));
	MUST(getsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len));
	if (!strcmp(argv[1], "epoll")) {
		ep = MUST(epoll_create1(0));
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
	}

	victim_ready();
	victim_wait();

	MUST(getsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defers, &len));
	CHECK(defers == seconds, "TCP_DEFER_ACCEPT: expected %d, got %d", seconds, defers);
	if (ep >= 0)
		CHECK(epoll_wait(ep, &ev, 1, 5000) == 1, "nothing to accept");
	for (int i = 0; i < CLIENTS; i++)
		talk(i, MUST(accept(l, NULL, NULL)), c[i]);
	MUST(waitpid(pid, &status, 0));
	CHECK(status == 0, "the other process: status %#x", status);
	if (defers)
		return 0;
	c[0] = client(1, false);
	talk(1, MUST(accept(l, NULL, NULL)), c[0]);
	return 0;
}
