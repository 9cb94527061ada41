/*
 * Sockets whose segments are signed by keys (TCP_MD5SIG, RFC 2385): a connection with both ends here, of IPv4, IPv6
 * and IPv4 on IPv6, whose listener has keys for an address and for a prefix of addresses; one that is half closed;
 * one with an urgent byte unread; connections that nobody has accepted; one that is being connected. Their keys are the ones that they had: an end that is given another one is no longer heard, a
 * client without the right key gets no answer, one with it does.
 *
 * A socket that neither listens nor is connected is refused: the kernel does not tell its keys.
 *
 * e2e: args: v4 v6 mapped prefix half urgent backlog backlog6 connecting bound unbound
 * e2e: refuse for bound,unbound: tcp, TCP_MD5SIG, dump it later
 * e2e: needs for backlog,backlog6: tcp_backlog
 * e2e: no cycle for connecting: it is sent again
 */
#include "tcp.h"

#include <arpa/inet.h>
#include <poll.h>

/* linux/tcp.h, which does not go along with netinet/tcp.h */
#define FLAG_PREFIX 1

#define SECRET "not for every eye"
#define OTHER  "another"

static int l, c, s;
static struct sockaddr_storage at;
static socklen_t at_len;

/* ---- sockets and keys ---- */

static struct sockaddr_storage address_of(const char *ip)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *in = (void *)&a;
	struct sockaddr_in6 *in6 = (void *)&a;

	a.ss_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	CHECK(inet_pton(a.ss_family, ip,
		      a.ss_family == AF_INET ? (void *)&in->sin_addr : &in6->sin6_addr) == 1,
		"no address: %s", ip);
	return a;
}

/* @prefix: -1: all of it. An empty secret: the key is taken away. */
static int key_try(int fd, const char *ip, int prefix, const char *secret)
{
	struct tcp_md5sig k = {.tcpm_keylen = strlen(secret)};
	struct sockaddr_storage a = address_of(ip);

	memcpy(&k.tcpm_addr, &a, sizeof(k.tcpm_addr));
	memcpy(k.tcpm_key, secret, strlen(secret));
	if (prefix < 0)
		return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &k, sizeof(k));
	k.tcpm_flags = FLAG_PREFIX;
	k.tcpm_prefixlen = prefix;
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &k, sizeof(k));
}

static void key(int fd, const char *ip, int prefix, const char *secret)
{
	if (key_try(fd, ip, prefix, secret) == 0)
		return;
	if (errno == ENOPROTOOPT)
		SKIP("this kernel has no TCP_MD5SIG");
	CHECK(0, "a key for %s/%d: %s", ip, prefix, strerror(errno));
}

static int new_socket(const char *ip)
{
	struct sockaddr_storage a = address_of(ip);
	struct timeval patience = {.tv_sec = 20};
	int fd = MUST(socket(a.ss_family, SOCK_STREAM, 0));

	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	return fd;
}

static void bind_at(const char *ip)
{
	at = address_of(ip);
	at_len = at.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	l = new_socket(ip);
	MUST(bind(l, (struct sockaddr *)&at, at_len));
	MUST(getsockname(l, (struct sockaddr *)&at, &at_len));
}

static void listen_at(const char *ip)
{
	bind_at(ip);
	MUST(listen(l, 16));
}

static int client(const char *ip, const char *secret)
{
	int fd = new_socket(ip);

	key(fd, ip, -1, secret);
	MUST(connect(fd, (struct sockaddr *)&at, at_len));
	return fd;
}

static void connected(const char *ip, const char *secret)
{
	c = client(ip, secret);
	s = MUST(accept(l, NULL, NULL));
}

/* ---- what is heard ---- */

static void say(int fd, const char *word)
{
	CHECK(send(fd, word, strlen(word), MSG_NOSIGNAL) == (ssize_t)strlen(word), "send: %s",
		strerror(errno));
}

static void hear(int fd, const char *word)
{
	char buf[100] = "";
	ssize_t n = recv(fd, buf, strlen(word), MSG_WAITALL);

	CHECK(n == (ssize_t)strlen(word) && !memcmp(buf, word, strlen(word)),
		"expected '%s', got '%s' (%zd, %s)", word, buf, n, strerror(errno));
}

static void at_end(int fd)
{
	char b;

	CHECK(recv(fd, &b, 1, 0) == 0, "expected the end");
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return MUST(poll(&p, 1, ms)) > 0;
}

/* Whoever signs by another key is not heard until it signs by the right one again: what was lost it repeats. */
static void heard_with(const char *ip, const char *secret, int from, int to)
{
	key(from, ip, -1, OTHER);
	say(from, "signed");
	CHECK(!readable(to, 30), "it is heard, signed by another key");
	key(from, ip, -1, secret);
	hear(to, "signed");
}

static void both_heard_with(const char *ip, const char *secret)
{
	say(c, "from c");
	hear(s, "from c");
	say(s, "from s");
	hear(c, "from s");
	heard_with(ip, secret, c, s);
	heard_with(ip, secret, s, c);
}

/* @secret: NULL: none */
static void no_answer(const char *ip, const char *secret)
{
	int fd = new_socket(ip);

	if (secret)
		key(fd, ip, -1, secret);
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK(connect(fd, (struct sockaddr *)&at, at_len) < 0 && errno == EINPROGRESS,
		"a client %s key is let in", secret ? "with a wrong" : "without a");
	CHECK(tcp_state(fd) == TCP_SYN_SENT, "expected no answer, got state %d", tcp_state(fd));
	close(fd);
}

static void answers_only(const char *ip, const char *secret)
{
	no_answer(ip, NULL);
	no_answer(ip, OTHER);
	connected(ip, secret);
	both_heard_with(ip, secret);
}

/* ---- the states ---- */

static void pair_of(const char *ip)
{
	unsigned mss[2];

	listen_at(ip);
	key(l, ip, -1, SECRET);
	connected(ip, SECRET);
	say(c, "unread of c");
	say(s, "unread of s");
	mss[0] = tcp_mss(c);
	mss[1] = tcp_mss(s);
	pause_here();
	tcp_mss_as_large(c, mss[0]);
	tcp_mss_as_large(s, mss[1]);
	hear(s, "unread of c");
	hear(c, "unread of s");
	both_heard_with(ip, SECRET);
	close(c);
	at_end(s);
	answers_only(ip, SECRET);
}

static void v4(void)
{
	pair_of("127.0.0.1");
}

static void v6(void)
{
	pair_of("::1");
}

static void mapped(void)
{
	pair_of("::ffff:127.0.0.1");
}

/* The longest prefix counts: all addresses, a net, one of it. */
static void prefix(void)
{
	in_port_t port;

	listen_at("::");
	key(l, "::", 0, "everybody");
	key(l, "::ffff:127.0.0.0", 8, "the net");
	key(l, "::ffff:127.0.0.1", -1, "the host");
	key(l, "::ffff:127.0.0.1", -1, SECRET);
	key(l, "::ffff:127.1.0.0", 20, OTHER);
	pause_here();
	port = ((struct sockaddr_in6 *)&at)->sin6_port;
	at = address_of("::ffff:127.0.0.1");
	((struct sockaddr_in6 *)&at)->sin6_port = port;
	no_answer("::ffff:127.0.0.1", "the net");
	answers_only("::ffff:127.0.0.1", SECRET);
	CHECK(key_try(l, "::ffff:127.0.0.1", -1, "") == 0, "no key for the host");
	no_answer("::ffff:127.0.0.1", SECRET);
	answers_only("::ffff:127.0.0.1", "the net");
	CHECK(key_try(l, "::ffff:127.0.0.0", 8, "") == 0, "no key for the net");
	CHECK(key_try(l, "::ffff:127.1.0.0", 20, "") == 0, "no key for the smaller net");
	CHECK(key_try(l, "::", 0, "") == 0, "no key for everybody");
	CHECK(key_try(l, "::", 0, "") < 0 && errno == ENOENT, "one more key");
}

/* One end closed, and heard: the other gets what it was told, by a segment that is signed. */
static void half(void)
{
	listen_at("127.0.0.1");
	key(l, "127.0.0.1", -1, SECRET);
	connected("127.0.0.1", SECRET);
	say(c, "last words");
	MUST(shutdown(c, SHUT_WR));
	tcp_in_state(c, TCP_FIN_WAIT2);
	tcp_in_state(s, TCP_CLOSE_WAIT);
	pause_here();
	tcp_in_state(c, TCP_FIN_WAIT2);
	tcp_in_state(s, TCP_CLOSE_WAIT);
	hear(s, "last words");
	at_end(s);
	heard_with("127.0.0.1", SECRET, s, c);
	close(s);
	at_end(c);
}

static void urgent(void)
{
	int from = 0;
	char b;

	listen_at("::1");
	key(l, "::1", -1, SECRET);
	connected("::1", SECRET);
	if (setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)) < 0)
		SKIP("this kernel can't look past urgent data");
	from = -1;
	MUST(setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)));
	say(c, "before");
	CHECK(send(c, "u", 1, MSG_OOB) == 1, "send: %s", strerror(errno));
	say(c, "behind");
	pause_here();
	CHECK(recv(s, &b, 1, MSG_OOB) == 1 && b == 'u', "the urgent byte");
	hear(s, "before");
	hear(s, "behind");
	both_heard_with("::1", SECRET);
}

/* Several clients; the listener has keys for them by a prefix. */
static void backlog_of(const char *ip, int prefix_bits)
{
	int v[3];

	listen_at(ip);
	key(l, ip, prefix_bits, SECRET);
	for (int i = 0; i < 3; i++)
		v[i] = client(ip, SECRET);
	say(v[1], "not accepted");
	say(v[2], "closed");
	MUST(shutdown(v[2], SHUT_WR));
	tcp_in_state(v[2], TCP_FIN_WAIT2);
	pause_here();
	for (int i = 0; i < 3; i++) {
		c = v[i];
		s = MUST(accept(l, NULL, NULL));
		if (i == 1)
			hear(s, "not accepted");
		if (i < 2)
			both_heard_with(ip, SECRET);
	}
	hear(s, "closed");
	at_end(s);
	heard_with(ip, SECRET, s, c);
	answers_only(ip, SECRET);
}

static void backlog(void)
{
	backlog_of("127.0.0.1", 24);
}

static void backlog6(void)
{
	backlog_of("::1", 64);
}

/* The listener does not know its key yet. */
static void connecting(void)
{
	listen_at("127.0.0.1");
	c = new_socket("127.0.0.1");
	key(c, "127.0.0.1", -1, SECRET);
	MUST(fcntl(c, F_SETFL, O_NONBLOCK));
	CHECK(connect(c, (struct sockaddr *)&at, at_len) < 0 && errno == EINPROGRESS,
		"it is connected");
	pause_here();
	CHECK(tcp_state(c) == TCP_SYN_SENT, "expected no answer, got state %d", tcp_state(c));
	key(l, "127.0.0.1", -1, SECRET);
	tcp_in_state(c, TCP_ESTABLISHED);
	MUST(fcntl(c, F_SETFL, 0));
	s = MUST(accept(l, NULL, NULL));
	both_heard_with("127.0.0.1", SECRET);
}

static void bound(void)
{
	bind_at("127.0.0.1");
	key(l, "127.0.0.1", -1, SECRET);
	pause_here();
}

static void unbound(void)
{
	key(new_socket("127.0.0.1"), "127.0.0.1", -1, SECRET);
	pause_here();
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {{"v4", v4}, {"v6", v6}, {"mapped", mapped},
		{"prefix", prefix}, {"half", half}, {"urgent", urgent}, {"backlog", backlog},
		{"backlog6", backlog6}, {"connecting", connecting}, {"bound", bound},
		{"unbound", unbound}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
