/*
 * tcp_backlog.c - connections that nobody has accepted are read and wait again, and their clients do not notice.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/netlock.h"
#include "kernel/nft.h"
#include "kernel/tcp_backlog.h"
#include "kernel/tcp_inject.h"
#include "util/vec.h"

#define CLIENTS 3

struct server {
	int family, l, nft, inject4, inject6;
	struct sockaddr_storage at;
	socklen_t len;
	int c[CLIENTS];
};

/* From Linux 4.1 to 6.9 none can be told the number that it begins with. */
static bool kernel_lets_in(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	cr_assert_eq(uname(&u), 0);
	cr_assert_eq(sscanf(u.release, "%d.%d", &major, &minor), 2);
	return major * 1000 + minor < 4001 || major * 1000 + minor > 6009;
}

/* No packet of the port gets in or out. */
static void lock(struct server *s)
{
	struct netlock_table t = {.name = "ckpt-unit-backlog", .owned = true};
	struct netlock_conn c;
	const struct sockaddr_in *in = (void *)&s->at;
	const struct sockaddr_in6 *in6 = (void *)&s->at;

	memset(&c, 0, sizeof(c));
	c.family = s->family;
	c.local_port = in->sin_port;
	c.whole = true;
	if (s->family == AF_INET)
		memcpy(c.local, &in->sin_addr, 4);
	else
		memcpy(c.local, &in6->sin6_addr, 16);
	s->nft = nft_open();
	if (s->nft < 0 || netlock_put(s->nft, &t, &c, 1) < 0)
		cr_skip_test("nftables with owners can't be used here");
}

static void begin(struct server *s, int family)
{
	s->family = family;
	s->l = tcp_loopback_listen(family, &s->at, &s->len);
	if (s->l < 0)
		cr_skip_test("no addresses of this family here");
	cr_assert_eq(listen(s->l, CLIENTS), 0);
	s->inject4 = tcp_inject_open(AF_INET);
	s->inject6 = tcp_inject_open(AF_INET6);
	if (s->inject4 < 0)
		cr_skip_test("it takes CAP_NET_RAW");
	for (int i = 0; i < CLIENTS; i++) {
		s->c[i] = socket(family, SOCK_STREAM, 0);
		cr_assert_eq(connect(s->c[i], (struct sockaddr *)&s->at, s->len), 0);
	}
	cr_assert_eq(tcp_backlog_count(s->l), CLIENTS);
}

static void take_and_put(struct server *s)
{
	struct tcp_waiting v[CLIENTS] = {0};
	struct tcp_listener own = {.fd = s->l};
	struct tcp_backlog b = {.own = &own, .group = &own, .n_group = 1, .n = CLIENTS, .v = v};

	lock(s);
	cr_assert_eq(tcp_backlog_read(&b, 1, s->inject4, s->inject6), 0);
	close(s->nft);
	cr_expect_eq(b.err, 0, "%s", strerror(-b.err));
	cr_assert_eq(b.taken, CLIENTS);
	cr_assert_eq(b.lost, 0);
	cr_assert_eq(tcp_backlog_count(s->l), CLIENTS);
	cr_assert_eq(v[0].state.recv_len, 5);
	cr_expect_eq(memcmp(v[0].state.recv, "hello", 5), 0);
	cr_expect_eq(v[1].fin, true);
	tcp_backlog_done(&b);
}

static void talk(int family)
{
	static char much[40000], back[sizeof(much)];
	struct server s;
	char buf[10];

	if (!kernel_lets_in())
		cr_skip_test("this kernel lets none in again");
	memset(much, 'm', sizeof(much));
	begin(&s, family);
	cr_assert_eq(send(s.c[0], "hello", 5, 0), 5);
	cr_assert_eq(shutdown(s.c[1], SHUT_WR), 0);
	cr_assert_eq(send(s.c[2], much, sizeof(much), 0), sizeof(much));
	usleep(1000);
	take_and_put(&s);
	for (int i = 0; i < CLIENTS; i++) {
		int a = accept(s.l, NULL, NULL);
		struct timeval patience = {.tv_sec = 5};

		setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(s.c[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (i == 0)
			cr_expect_eq(recv(a, buf, sizeof(buf), 0), 5);
		else if (i == 1)
			cr_expect_eq(recv(a, buf, sizeof(buf), 0), 0);
		else
			cr_expect(recv(a, back, sizeof(back), MSG_WAITALL) == sizeof(back) &&
				  memcmp(back, much, sizeof(much)) == 0);
		cr_assert_eq(send(a, "answer", 6, MSG_NOSIGNAL), 6);
		cr_expect_eq(recv(s.c[i], buf, sizeof(buf), 0), 6, "client %d", i);
		if (i != 1) {
			cr_assert_eq(send(s.c[i], "more", 4, MSG_NOSIGNAL), 4);
			cr_expect_eq(recv(a, buf, sizeof(buf), 0), 4, "client %d", i);
		}
		close(a);
		cr_expect_eq(recv(s.c[i], buf, sizeof(buf), 0), 0, "client %d", i);
	}
}

Test(tcp_backlog, ipv4)
{
	talk(AF_INET);
}

Test(tcp_backlog, ipv6)
{
	talk(AF_INET6);
}

/* Two wait, as many as may. The third was taken out before they came. */
Test(tcp_backlog, who_finds_no_place_is_told)
{
	struct server s;
	struct tcp_waiting w = {.state = {.fd = -1}};
	struct tcp_listener own;
	socklen_t len = sizeof(w.local);
	uint8_t room[64];
	char byte;

	begin(&s, AF_INET);
	own.fd = s.l;
	w.state.fd = accept(s.l, (struct sockaddr *)&w.peer, &len);
	cr_assert_eq(getsockname(w.state.fd, (struct sockaddr *)&w.local, &len), 0);
	cr_assert_eq(tcp_state_read(&w.state, room, sizeof(room)), 0);
	lock(&s);
	cr_assert_eq(tcp_repair(w.state.fd, 1), 0);
	close(w.state.fd);
	cr_assert_eq(listen(s.l, CLIENTS - 2), 0);
	cr_expect_lt(tcp_backlog_put(s.inject4, s.inject6, &w, &own, 1), 0);
	close(s.nft);
	cr_expect_eq(tcp_backlog_count(s.l), CLIENTS - 1);
	cr_expect_eq(recv(s.c[0], &byte, 1, 0), -1);
	cr_expect_eq(errno, ECONNRESET, "%s", strerror(errno));
}

Test(tcp_backlog, the_trial_tells)
{
	struct server s = {.family = AF_INET};

	s.l = tcp_loopback_listen(AF_INET, &s.at, &s.len);
	s.inject4 = tcp_inject_open(AF_INET);
	if (s.inject4 < 0)
		cr_skip_test("it takes CAP_NET_RAW");
	lock(&s);
	cr_expect_eq(tcp_backlog_works(s.inject4, -1, s.l), kernel_lets_in());
	close(s.nft);
}
