/*
 * States of TCP that are rare, or that leave something behind: both ends closed at the same time; a port on which
 * a connection is in TIME_WAIT, which nobody may bind who has not said SO_REUSEADDR; a client that has
 * connected by TCP_FASTOPEN_CONNECT, whose first packet waits for its first data; sockets that share a port by
 * SO_REUSEPORT in two processes, with connections that nobody has accepted.
 *
 * e2e: args: closing time_wait time_wait_reuse fastopen deferred reuseport
 * e2e: needs for reuseport: tcp_backlog
 * e2e: timeout: 60
 */
#include "tcp.h"

#include <linux/filter.h>
#include <poll.h>
#include <sys/wait.h>

static int l, c, s;
static struct sockaddr_in at = {.sin_family = AF_INET};

static void set(int fd, int level, int name, int value)
{
	MUST(setsockopt(fd, level, name, &value, sizeof(value)));
}

static int get(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	MUST(getsockopt(fd, level, name, &value, &len));
	return value;
}

static int listener(int option)
{
	socklen_t len = sizeof(at);
	int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (option)
		set(fd, SOL_SOCKET, option, 1);
	MUST(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	MUST(listen(fd, 64)); /* of several that share a port one may get all */
	MUST(getsockname(fd, (struct sockaddr *)&at, &len));
	return fd;
}

static int client(void)
{
	int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

static void say(int fd, const char *word)
{
	CHECK(send(fd, word, strlen(word), MSG_NOSIGNAL) == (ssize_t)strlen(word), "send: %s",
		strerror(errno));
}

static void hear(int fd, const char *word)
{
	char buf[100] = "";
	ssize_t n = strlen(word) ? recv(fd, buf, strlen(word), MSG_WAITALL) : recv(fd, buf, 1, 0);

	CHECK(n == (ssize_t)strlen(word) && !memcmp(buf, word, strlen(word)),
		"expected '%s', got '%s' (%zd, %s)", word, buf, n, strerror(errno));
}

static void deaf(int fd)
{
	struct sock_filter none[] = {{BPF_RET | BPF_K, 0, 0, 0}};
	struct sock_fprog prog = {.len = 1, .filter = none};

	MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
}

static void new_connection(void)
{
	c = client();
	s = MUST(accept(l, NULL, NULL));
	say(c, "new");
	hear(s, "new");
}

/* Neither hears that the other has closed; then one does, before its own end is acknowledged. */
static void closing(void)
{
	l = listener(0);
	c = client();
	s = MUST(accept(l, NULL, NULL));
	say(c, "from c");
	say(s, "from s");
	usleep(10000);
	deaf(c);
	deaf(s);
	MUST(shutdown(c, SHUT_WR));
	MUST(shutdown(s, SHUT_WR));
	tcp_in_state(s, TCP_FIN_WAIT1);
	set(c, SOL_SOCKET, SO_DETACH_FILTER, 0);
	tcp_in_state(c, TCP_CLOSING);
	pause_here();
	tcp_in_state(c, TCP_CLOSING);
	tcp_in_state(s, TCP_FIN_WAIT1);
	set(s, SOL_SOCKET, SO_DETACH_FILTER, 0);
	hear(s, "from c");
	hear(c, "from s");
	hear(s, "");
	hear(c, "");
	tcp_in_state(c, TCP_CLOSE);
	tcp_in_state(s, TCP_CLOSE);
}

static void time_wait_with(int option)
{
	l = listener(option);
	c = client();
	s = MUST(accept(l, NULL, NULL));
	close(s);
	hear(c, "");
	close(c);
	pause_here();
	new_connection();
}

static void time_wait(void)
{
	time_wait_with(0);
}

static void time_wait_reuse(void)
{
	time_wait_with(SO_REUSEADDR);
}

static void fastopen(void)
{
	l = listener(0);
	set(l, IPPROTO_TCP, TCP_FASTOPEN, 7);
	pause_here();
	CHECK(get(l, IPPROTO_TCP, TCP_FASTOPEN) == 7, "TCP_FASTOPEN: %d",
		get(l, IPPROTO_TCP, TCP_FASTOPEN));
	new_connection();
}

static void deferred(void)
{
	l = listener(0);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	set(c, IPPROTO_TCP, 34 /* TCP_FASTOPEN_NO_COOKIE */, 1);
	set(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	MUST(connect(c, (struct sockaddr *)&at, sizeof(at)));
	if (tcp_state(c) != TCP_SYN_SENT)
		SKIP("TCP_FASTOPEN_CONNECT does not put it off here");
	pause_here();
	say(c, "first");
	s = MUST(accept(l, NULL, NULL));
	hear(s, "first");
	say(s, "answer");
	hear(c, "answer");
}

/* Each of three sockets gets some of many connections. */
static void reuseport(void)
{
	struct pollfd p[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	int v[30], status;
	pid_t pid;

	for (int i = 0; i < 3; i++)
		p[i].fd = listener(SO_REUSEPORT);
	pid = MUST(fork());
	if (!pid) {
		close(p[0].fd);
		close(p[1].fd);
		pause();
		_exit(1);
	}
	for (int i = 0; i < 30; i++) {
		v[i] = client();
		say(v[i], "waits");
	}
	pause_here();
	for (int i = 0; i < 30; i++) {
		int n = 0;

		MUST(poll(p, 3, 5000));
		while (n < 3 && !(p[n].revents & POLLIN))
			n++;
		CHECK(n < 3, "connection %d is nowhere", i);
		s = MUST(accept(p[n].fd, NULL, NULL));
		hear(s, "waits");
		say(s, "answer");
		close(s);
	}
	for (int i = 0; i < 30; i++)
		hear(v[i], "answer");
	for (int i = 0, seen = 0; seen != 7; i++) {
		CHECK(i < 300, "of the three sockets some get nothing: %#x", seen);
		c = client();
		MUST(poll(p, 3, 5000));
		for (int n = 0; n < 3; n++)
			if (p[n].revents & POLLIN) {
				seen |= 1 << n;
				close(MUST(accept(p[n].fd, NULL, NULL)));
			}
		close(c);
	}
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"closing", closing}, {"time_wait", time_wait},
		{"time_wait_reuse", time_wait_reuse}, {"fastopen", fastopen},
		{"deferred", deferred}, {"reuseport", reuseport}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
