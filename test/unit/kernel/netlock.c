/*
 * netlock.c - locks on connections, in a network namespace of the test's own.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/netlock.h"
#include "kernel/nft.h"

static int c, s; /* the ends of a connection over loopback */

static void own_namespace(int family)
{
	struct sockaddr_storage at = {.ss_family = (sa_family_t)family};
	struct ifreq lo = {.ifr_name = "lo"};
	socklen_t len = sizeof(at);
	int l;

	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("a network namespace: %s", strerror(errno));
	l = socket(AF_INET, SOCK_DGRAM, 0);
	lo.ifr_flags = IFF_UP;
	cr_assert_eq(ioctl(l, SIOCSIFFLAGS, &lo), 0);
	close(l);
	if (family == AF_INET)
		((struct sockaddr_in *)&at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_loopback;
	l = socket(family, SOCK_STREAM, 0);
	cr_assert_eq(bind(l, (struct sockaddr *)&at, len), 0);
	cr_assert_eq(listen(l, 1), 0);
	cr_assert_eq(getsockname(l, (struct sockaddr *)&at, &len), 0);
	c = socket(family, SOCK_STREAM, 0);
	cr_assert_eq(connect(c, (struct sockaddr *)&at, len), 0);
	s = accept(l, NULL, NULL);
	cr_assert_geq(s, 0);
}

static struct netlock_conn conn_of(int fd)
{
	struct sockaddr_storage a, b;
	struct netlock_conn n = {0};
	socklen_t la = sizeof(a), lb = sizeof(b);

	getsockname(fd, (struct sockaddr *)&a, &la);
	getpeername(fd, (struct sockaddr *)&b, &lb);
	n.family = a.ss_family;
	if (n.family == AF_INET) {
		memcpy(n.local, &((struct sockaddr_in *)&a)->sin_addr, 4);
		memcpy(n.peer, &((struct sockaddr_in *)&b)->sin_addr, 4);
	} else {
		memcpy(n.local, &((struct sockaddr_in6 *)&a)->sin6_addr, 16);
		memcpy(n.peer, &((struct sockaddr_in6 *)&b)->sin6_addr, 16);
	}
	n.local_port = ((struct sockaddr_in *)&a)->sin_port;
	n.peer_port = ((struct sockaddr_in *)&b)->sin_port;
	return n;
}

/* Over loopback what is sent has mostly arrived when send(2) returns. */
static bool passes_in(int from, int to, int ms)
{
	struct pollfd p = {.fd = to, .events = POLLIN};
	char b;

	cr_assert_eq(send(from, "x", 1, 0), 1);
	return poll(&p, 1, ms) == 1 && recv(to, &b, 1, MSG_DONTWAIT) == 1;
}

static bool passes(int from, int to)
{
	return passes_in(from, to, 5000);
}

static bool is_dropped(int from, int to)
{
	return !passes_in(from, to, 20);
}

static void put(int fd, const struct netlock_table *t, const struct netlock_conn *v, size_t n)
{
	int r = netlock_put(fd, t, v, n);

	if (r == -EPROTONOSUPPORT || r == -EOPNOTSUPP)
		cr_skip_test("no nftables here, or no owners of tables");
	cr_assert_eq(r, 0, "%s", strerror(-r));
}

static void nothing_passes(int family, bool of_server)
{
	struct netlock_table t = {.name = "ckpt-1"};
	struct netlock_conn v[2] = {{.family = AF_INET, .local_port = 9}};
	int fd;

	own_namespace(family);
	fd = nft_open();
	v[1] = conn_of(of_server ? s : c);
	cr_expect(passes(c, s) && passes(s, c));
	put(fd, &t, v, 2);
	cr_expect(is_dropped(c, s));
	cr_expect(is_dropped(s, c));
	cr_assert_eq(netlock_put(fd, &t, v, 2), -EEXIST);
	cr_assert_eq(netlock_remove(fd, t.name), 0);
	cr_assert_eq(netlock_remove(fd, t.name), -ENOENT);
}

Test(netlock, of_a_server)
{
	nothing_passes(AF_INET, true);
}

Test(netlock, of_a_client_ipv6)
{
	nothing_passes(AF_INET6, false);
}

Test(netlock, others_pass)
{
	struct netlock_table t = {.name = "ckpt-1"};
	struct netlock_conn v;
	int fd;

	own_namespace(AF_INET);
	fd = nft_open();
	v = conn_of(c);
	v.local_port ^= htons(1);
	put(fd, &t, &v, 1);
	cr_expect(passes(c, s) && passes(s, c));
}

struct seen {
	int n;
	bool owned;
	char comment[64];
};

static void look(const char *name, bool owned, const char *comment, void *arg)
{
	struct seen *seen = arg;

	(void)name;
	seen->n++;
	seen->owned = owned;
	strncpy(seen->comment, comment ? comment : "", sizeof(seen->comment) - 1);
}

Test(netlock, goes_with_its_owner)
{
	struct netlock_table t = {.name = "ckpt-1", .owned = true, .comment = "of a test"};
	struct netlock_conn v;
	struct seen seen = {0}, after = {0};
	int fd, other;

	own_namespace(AF_INET);
	fd = nft_open();
	other = nft_open();
	v = conn_of(c);
	put(fd, &t, &v, 1);
	cr_assert_eq(netlock_list(other, "ckpt-", look, &seen), 0);
	cr_expect_eq(seen.n, 1);
	cr_expect(seen.owned);
	cr_expect_str_eq(seen.comment, "of a test");
	close(fd);
	cr_assert_eq(netlock_list(other, "ckpt-", look, &after), 0);
	cr_expect_eq(after.n, 0);
}

/* One goes and the other comes in the same moment; the one that comes stays. */
Test(netlock, instead_of_another)
{
	struct netlock_table t = {.name = "ckpt-pid-1", .owned = true},
			     lasting = {.name = "ckpt-2"};
	struct netlock_conn v;
	struct nft_batch b;
	struct seen seen = {0};
	int fd, other;

	own_namespace(AF_INET);
	fd = nft_open();
	other = nft_open();
	v = conn_of(c);
	put(fd, &t, &v, 1);
	netlock_build(&b, &lasting, &v, 1, t.name);
	cr_assert_eq(nft_send(fd, &b), 0);
	nft_done(&b);
	close(fd);
	cr_assert_eq(netlock_list(other, "ckpt-", look, &seen), 0);
	cr_expect_eq(seen.n, 1);
	cr_expect(!seen.owned);
	cr_expect(is_dropped(c, s));
}

/* More than one message holds. */
Test(netlock, many)
{
	static struct netlock_conn v[5000];
	struct netlock_table t = {.name = "ckpt-1"};
	int fd;

	own_namespace(AF_INET);
	fd = nft_open();
	for (size_t i = 0; i < 4999; i++) {
		v[i].family = i % 2 ? AF_INET : AF_INET6;
		v[i].local_port = (uint16_t)i;
	}
	v[4999] = conn_of(s);
	put(fd, &t, v, 5000);
	cr_expect(is_dropped(c, s));
}
