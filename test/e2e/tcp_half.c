/*
 * Connections that are being opened or closed, or have ended, with data that was not read or could not
 * be sent: each end reads what it would have read, up to the end or the error that it would have got.
 *
 * e2e: args: fin_wait2 fin_wait1 last_ack ended reset refused syn_sent syn_poll shut_rd full v6 epipe inq
 * e2e: args: urgent urgent_first urgent_only urgent_last urgent_read urgent_inline urgent_fin urgent_owner
 * e2e: no cycle for syn_sent,syn_poll: it is sent again
 * e2e: timeout: 60
 * e2e: no cycle for fin_wait1,last_ack,full: what could not be sent may fit into the new socket
 */
#include "tcp.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <poll.h>

#define MUCH (64 * 1024 * 1024)

static int l, c, s;

static void open_pair(int family)
{
	struct sockaddr_storage at = {.ss_family = family};
	socklen_t len = sizeof(at);

	if (family == AF_INET)
		((struct sockaddr_in *)&at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_loopback;
	l = MUST(socket(family, SOCK_STREAM, 0));
	MUST(bind(l, (struct sockaddr *)&at, len));
	MUST(listen(l, 4));
	MUST(getsockname(l, (struct sockaddr *)&at, &len));
	c = MUST(socket(family, SOCK_STREAM, 0));
	MUST(connect(c, (struct sockaddr *)&at, len));
	s = MUST(accept(l, NULL, NULL));
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 2654435761U >> 13);
}

static void put(int fd, size_t from, size_t len)
{
	uint8_t buf[4096];

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(from + i);
	CHECK(send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len, "send: %s", strerror(errno));
}

static void get(int fd, size_t from, size_t len)
{
	uint8_t buf[4096];
	ssize_t n = recv(fd, buf, len, MSG_WAITALL);

	CHECK(n == (ssize_t)len, "recv: expected %zu, got %zd (%s)", len, n, strerror(errno));
	for (size_t i = 0; i < len; i++)
		CHECK(buf[i] == byte_at(from + i), "byte %zu", from + i);
}

/* As much as gets in without waiting. */
static size_t fill(int fd)
{
	uint8_t buf[4096];
	size_t at = 0;

	for (int idle = 0; at < MUCH && idle < 20;) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = byte_at(at + i);
		n = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			at += n;
			idle = 0;
		} else {
			usleep(1000);
			idle++;
		}
	}
	return at;
}

/* All of it, by small pieces, up to the end. */
static void drain(int fd, size_t len)
{
	uint8_t buf[10000];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK(buf[i] == byte_at(at), "byte %zu", at);
	CHECK(n == 0, "recv: %s", strerror(errno));
	CHECK(at == len, "expected %zu bytes, got %zu", len, at);
}

static void at_end(int fd)
{
	char b;
	ssize_t n = recv(fd, &b, 1, 0);

	CHECK(n == 0, "expected the end, got %zd (%s)", n, n < 0 ? strerror(errno) : "data");
}

/* One direction is closed, the other goes on. */
static void half(int family)
{
	open_pair(family);
	put(c, 0, 1000);
	MUST(shutdown(c, SHUT_WR));
	put(s, 0, 500);
	tcp_in_state(c, TCP_FIN_WAIT2);
	tcp_in_state(s, TCP_CLOSE_WAIT);
	pause_here();
	tcp_in_state(c, TCP_FIN_WAIT2);
	tcp_in_state(s, TCP_CLOSE_WAIT);
	get(s, 0, 1000);
	at_end(s);
	CHECK(send(c, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "the closed side can send");
	get(c, 0, 500);
	for (int i = 0; i < 20; i++) {
		put(s, i, 3000);
		get(c, i, 3000);
	}
	close(s);
	at_end(c);
}

static void fin_wait2(void)
{
	half(AF_INET);
}

static void v6(void)
{
	half(AF_INET6);
}

/* More than fits: some is received, some sent, some not. */
static void full(void)
{
	size_t n;

	open_pair(AF_INET);
	n = fill(c);
	pause_here();
	for (size_t at = 0; at < n; at += 4096)
		get(s, at, n - at < 4096 ? n - at : 4096);
	put(s, 0, 10);
	get(c, 0, 10);
}

static void fin_wait1(void)
{
	size_t n;

	open_pair(AF_INET);
	n = fill(c);
	MUST(shutdown(c, SHUT_WR));
	tcp_in_state(c, TCP_FIN_WAIT1);
	pause_here();
	drain(s, n);
	put(s, 0, 100);
	get(c, 0, 100);
}

static void last_ack(void)
{
	size_t n;

	open_pair(AF_INET);
	MUST(shutdown(c, SHUT_WR));
	n = fill(s);
	MUST(shutdown(s, SHUT_WR));
	tcp_in_state(s, TCP_LAST_ACK);
	pause_here();
	at_end(s);
	drain(c, n);
	tcp_in_state(s, TCP_CLOSE);
}

static void ended(void)
{
	open_pair(AF_INET);
	put(c, 0, 1000);
	put(s, 0, 2000);
	MUST(shutdown(c, SHUT_WR));
	MUST(shutdown(s, SHUT_WR));
	tcp_in_state(c, TCP_CLOSE);
	tcp_in_state(s, TCP_CLOSE);
	pause_here();
	get(s, 0, 1000);
	at_end(s);
	get(c, 0, 2000);
	at_end(c);
	CHECK(send(c, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "a closed end can send");
}

static void reset(void)
{
	struct linger now = {.l_onoff = 1};
	char b;

	open_pair(AF_INET);
	put(s, 0, 1000);
	MUST(setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(s);
	tcp_in_state(c, TCP_CLOSE);
	pause_here();
	get(c, 0, 1000);
	CHECK(recv(c, &b, 1, 0) < 0 && errno == ECONNRESET, "expected a reset");
	at_end(c);
}

/* The error was told before. */
static void epipe(void)
{
	int err = 0;
	socklen_t len = sizeof(err);
	struct linger now = {.l_onoff = 1};

	open_pair(AF_INET);
	MUST(setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(s);
	tcp_in_state(c, TCP_CLOSE);
	MUST(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len));
	CHECK(err == ECONNRESET, "error %d", err);
	pause_here();
	at_end(c);
	CHECK(send(c, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "a dead connection can send");
}

static void refused(void)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	struct pollfd p;
	int err = 0;

	open_pair(AF_INET);
	MUST(getsockname(l, (struct sockaddr *)&at, &len));
	close(l);
	p.fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	/* over loopback the answer comes at once, and would be told by connect() */
	connect(c, (struct sockaddr *)&at, len);
	err = connect(p.fd, (struct sockaddr *)&at, len) < 0 ? errno : 0;
	if (err == ECONNREFUSED)
		SKIP("the refusal was told at once");
	p.events = POLLOUT;
	MUST(poll(&p, 1, 1000));
	pause_here();
	len = sizeof(err);
	MUST(getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &len));
	CHECK(err == ECONNREFUSED, "expected a refusal, got %d", err);
}

/* It must not wake up before there is an answer. */
static void *waits(void *arg)
{
	struct pollfd p = {.fd = *(int *)arg, .events = POLLOUT};
	int err = 0;
	socklen_t len = sizeof(err);

	CHECK(poll(&p, 1, 50000) == 1, "it does not connect");
	CHECK(p.revents == POLLOUT, "events %x", (unsigned)p.revents);
	MUST(getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &len));
	CHECK(!err, "connect: %s", strerror(err));
	return NULL;
}

/* The listener does not hear before it is let. */
static void connecting(bool waiting)
{
	struct sock_filter deaf[] = {{BPF_RET | BPF_K, 0, 0, 0}};
	struct sock_fprog prog = {.len = 1, .filter = deaf};
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int none = 0, d;
	pthread_t thread;

	open_pair(AF_INET);
	MUST(setsockopt(l, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	MUST(getsockname(l, (struct sockaddr *)&at, &len));
	d = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK(connect(d, (struct sockaddr *)&at, len) < 0 && errno == EINPROGRESS, "connect");
	tcp_in_state(d, TCP_SYN_SENT);
	if (waiting)
		CHECK(!pthread_create(&thread, NULL, waits, &d), "pthread_create");
	pause_here();
	tcp_in_state(d, TCP_SYN_SENT);
	MUST(setsockopt(l, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
	if (waiting)
		CHECK(!pthread_join(thread, NULL), "pthread_join");
	else
		waits(&d);
	s = MUST(accept(l, NULL, NULL));
	put(d, 0, 100);
	get(s, 0, 100);
}

static void syn_sent(void)
{
	connecting(false);
}

static void syn_poll(void)
{
	connecting(true);
}

static void shut_rd(void)
{
	open_pair(AF_INET);
	MUST(shutdown(c, SHUT_RD));
	pause_here();
	at_end(c);
	put(c, 0, 100);
	get(s, 0, 100);
}

/* An urgent byte and what is around it wait to be read; before Linux 6.9 a dump can't look past it. */
static void send_urgent(size_t before, size_t behind)
{
	int from = 0;

	open_pair(AF_INET);
	if (setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)) < 0)
		SKIP("this kernel can't look past urgent data");
	from = -1;
	MUST(setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)));
	if (before)
		put(c, 0, before);
	MUST(send(c, "u", 1, MSG_OOB));
	if (behind)
		put(c, 0, behind);
	usleep(1000);
}

static void get_urgent(void)
{
	char b;

	CHECK(recv(s, &b, 1, MSG_OOB) == 1 && b == 'u', "the urgent byte");
	CHECK(recv(s, &b, 1, MSG_OOB) < 0 && errno == EINVAL, "another urgent byte");
}

static void nothing_more(void)
{
	char b;

	CHECK(recv(s, &b, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "something is left");
	put(s, 0, 10);
	get(c, 0, 10);
	put(c, 0, 3000);
	get(s, 0, 3000);
}

static void urgent(void)
{
	send_urgent(100, 50);
	pause_here();
	get(s, 0, 100);
	get_urgent();
	get(s, 0, 50);
	nothing_more();
}

static void urgent_first(void)
{
	send_urgent(0, 4000);
	pause_here();
	get_urgent();
	get(s, 0, 4000);
	nothing_more();
}

static void urgent_only(void)
{
	send_urgent(0, 0);
	pause_here();
	get_urgent();
	nothing_more();
}

static void urgent_last(void)
{
	send_urgent(4000, 0);
	pause_here();
	get(s, 0, 4000);
	get_urgent();
	nothing_more();
}

/* Its place is still there, where one read ends. */
static void urgent_read(void)
{
	uint8_t buf[200];

	send_urgent(100, 50);
	get_urgent();
	pause_here();
	CHECK(recv(s, buf, 1, MSG_OOB) < 0 && errno == EINVAL, "it can be read again");
	CHECK(recv(s, buf, sizeof(buf), 0) == 100, "a read that goes past the mark");
	CHECK(sockatmark(s) == 1, "it is not at the mark");
	get(s, 0, 50);
	nothing_more();
}

static void urgent_inline(void)
{
	uint8_t buf[200];
	int on = 1;

	send_urgent(100, 50);
	MUST(setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
	pause_here();
	CHECK(recv(s, buf, sizeof(buf), 0) == 100, "a read that goes past the mark");
	CHECK(sockatmark(s) == 1, "it is not at the mark");
	CHECK(recv(s, buf, 1, 0) == 1 && buf[0] == 'u', "the urgent byte, in its order");
	get(s, 0, 50);
	nothing_more();
}

static void urgent_fin(void)
{
	send_urgent(100, 50);
	MUST(shutdown(c, SHUT_WR));
	tcp_in_state(s, TCP_CLOSE_WAIT);
	pause_here();
	get(s, 0, 100);
	get_urgent();
	get(s, 0, 50);
	at_end(s);
}

/* It was told by a signal, and is not told again. */
static void urgent_owner(void)
{
	struct timespec soon = {.tv_nsec = 50 * 1000 * 1000};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	send_urgent(100, 0);
	MUST(fcntl(s, F_SETOWN, getpid()));
	pause_here();
	CHECK(sigtimedwait(&set, NULL, &soon) < 0 && errno == EAGAIN, "SIGURG comes again");
	get(s, 0, 100);
	get_urgent();
	MUST(send(c, "u", 1, MSG_OOB));
	soon.tv_sec = 5;
	CHECK(sigtimedwait(&set, NULL, &soon) == SIGURG, "no SIGURG");
	get_urgent();
}

/* The program asks how much there is beside what it reads. */
static void inq(void)
{
	int on = 1;
	socklen_t len = sizeof(on);

	open_pair(AF_INET);
	MUST(setsockopt(s, IPPROTO_TCP, 36 /* TCP_INQ */, &on, sizeof(on)));
	put(c, 0, 100);
	pause_here();
	on = 0;
	MUST(getsockopt(s, IPPROTO_TCP, 36, &on, &len));
	CHECK(on == 1, "TCP_INQ: %d", on);
	get(s, 0, 100);
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"fin_wait2", fin_wait2}, {"v6", v6},
		{"full", full}, {"fin_wait1", fin_wait1}, {"last_ack", last_ack}, {"ended", ended},
		{"reset", reset}, {"epipe", epipe}, {"refused", refused}, {"syn_sent", syn_sent},
		{"syn_poll", syn_poll}, {"shut_rd", shut_rd}, {"urgent", urgent},
		{"urgent_first", urgent_first}, {"urgent_only", urgent_only},
		{"urgent_last", urgent_last}, {"urgent_read", urgent_read},
		{"urgent_inline", urgent_inline}, {"urgent_fin", urgent_fin},
		{"urgent_owner", urgent_owner}, {"inq", inq}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
