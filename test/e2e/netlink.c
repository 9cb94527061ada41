/*
 * e2e: args: plain events missed answer
 * e2e: refuse for answer: fd, netlink
 *
 * Holds: plain: sockets of rtnetlink, uevents and generic netlink: new, bound to a number of the kernel's
 *        choice or the program's, connected to a group, in groups by mask and by number.
 *        events: a listener for changes of addresses. missed: one that has not read what it was told.
 *        answer: an answer that is not read.
 * Shows: "netlink (route, uevent; groups, pending messages)": it goes on listening, and is told if it has missed
 *        something.
 */
#include "fds.h"
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

static int netlink(int type, int protocol, unsigned portid, unsigned groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = portid, .nl_groups = groups};
	int fd = MUST(socket(AF_NETLINK, type, protocol));

	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

struct view {
	struct sockaddr_nl name, peer;
	unsigned groups[8];
	socklen_t groups_len;
	int protocol, type;
};

static void view(int fd, struct view *v)
{
	socklen_t len = sizeof(v->name);

	memset(v, 0, sizeof(*v));
	MUST(getsockname(fd, (struct sockaddr *)&v->name, &len));
	len = sizeof(v->peer);
	MUST(getpeername(fd, (struct sockaddr *)&v->peer, &len));
	v->groups_len = sizeof(v->groups);
	MUST(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, v->groups, &v->groups_len));
	len = sizeof(int);
	MUST(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v->protocol, &len));
	MUST(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v->type, &len));
}

/* A request, and its answer. */
static void request(int fd, int type)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
	} q = {.h = {sizeof(q), type, NLM_F_REQUEST | NLM_F_DUMP, 7, 0},
		.m = {.ifa_family = AF_INET}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	CHECK(sendto(fd, &q, sizeof(q), 0, (struct sockaddr *)&kernel, sizeof(kernel)) == sizeof(q),
		"sendto: %s", strerror(errno));
}

static void plain(void)
{
	static const int group = RTNLGRP_IPV6_IFINFO, high = RTNLGRP_NSID, nexthop = 32;
	struct sockaddr_nl peer = {.nl_family = AF_NETLINK, .nl_groups = 1U << 30};
	unsigned number = (unsigned)getpid() + 0x40000000;
	struct view was[7];
	char buf[16384];
	int fd[7], n = 0;
	const struct nlmsghdr *h = (void *)buf;

	fd[n++] = MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	fd[n++] = netlink(SOCK_RAW, NETLINK_ROUTE, 0, 0);
	fd[n++] = netlink(SOCK_DGRAM, NETLINK_ROUTE, number, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	MUST(setsockopt(fd[n - 1], SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(int)));
	MUST(setsockopt(fd[n - 1], SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &high, sizeof(int)));
	MUST(setsockopt(fd[n - 1], SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nexthop, sizeof(int)));
	fd[n++] = netlink(SOCK_DGRAM, NETLINK_KOBJECT_UEVENT, 0, 1);
	fd[n++] = netlink(SOCK_RAW, NETLINK_GENERIC, number + 1, 0);
	fd[n++] = netlink(SOCK_RAW, NETLINK_USERSOCK, 0, 0);
	MUST(connect(fd[n - 1], (struct sockaddr *)&peer, sizeof(peer)));
	fd[n++] = netlink(SOCK_RAW, NETLINK_SOCK_DIAG, 0, 0);
	for (int i = 0; i < n; i++)
		view(fd[i], &was[i]);
	CHECK(was[2].groups_len > 0 && was[2].groups[0], "it is in no group");
	victim_ready();
	victim_wait();
	for (int i = 0; i < n; i++) {
		struct view now;

		view(fd[i], &now);
		CHECK(!memcmp(&now, &was[i], sizeof(now)),
			"socket %d: number %u, was %u; groups %#x, were %#x; peer %#x, was %#x", i,
			now.name.nl_pid, was[i].name.nl_pid, now.groups[0], was[i].groups[0],
			now.peer.nl_groups, was[i].peer.nl_groups);
	}
	request(fd[1], RTM_GETADDR);
	CHECK(recv(fd[1], buf, sizeof(buf), 0) > 0 && h->nlmsg_type == RTM_NEWADDR &&
			h->nlmsg_seq == 7,
		"no answer: type %u (%s)", h->nlmsg_type, strerror(errno));
}

/* An address on lo comes or goes. */
static void change(int type, unsigned char last)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
		struct rtattr a;
		unsigned char addr[4];
	} q = {.h = {sizeof(q), type, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
		.m = {AF_INET, 32, 0, RT_SCOPE_HOST, 0},
		.a = {sizeof(q.a) + 4, IFA_LOCAL},
		.addr = {127, 77, 0, last}};
	int fd = netlink(SOCK_RAW, NETLINK_ROUTE, 0, 0);
	char buf[4096];

	q.m.ifa_index = if_nametoindex("lo");
	q.addr[2] = getpid() % 250;
	q.addr[1] = 1 + getpid() / 250 % 250;
	MUST(send(fd, &q, sizeof(q), 0));
	MUST(recv(fd, buf, sizeof(buf), 0));
	close(fd);
}

/* Other programs change addresses, too. */
static bool told_of(const char *buf, ssize_t n, int type, unsigned char last)
{
	const struct nlmsghdr *h = (const void *)buf;
	const unsigned char *at;

	if (n < (ssize_t)sizeof(*h) || h->nlmsg_type != type)
		return false;
	at = memmem(
		buf, n, (unsigned char[]){127, 1 + getpid() / 250 % 250, getpid() % 250, last}, 4);
	return at;
}

static void drain(int fd)
{
	char buf[8192];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

static void expect_event(int fd, int type, unsigned char last)
{
	char buf[8192];

	for (int i = 0; i < 1000; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		CHECK(n >= 0 || errno == EAGAIN, "recv: %s", strerror(errno));
		if (n > 0 && told_of(buf, n, type, last))
			return;
		if (n < 0)
			usleep(1000);
	}
	CHECK(0, "it was not told of %d", type);
}

static void events(void)
{
	int fd = netlink(SOCK_RAW, NETLINK_ROUTE, 0, RTMGRP_IPV4_IFADDR);

	victim_ready();
	victim_wait();
	/* of other programs' changes it may have missed some, and then it is told nothing before it has read */
	drain(fd);
	change(RTM_NEWADDR, 5);
	expect_event(fd, RTM_NEWADDR, 5);
	change(RTM_DELADDR, 5);
	expect_event(fd, RTM_DELADDR, 5);
}

static void missed(void)
{
	int fd = netlink(SOCK_RAW, NETLINK_ROUTE, 0, RTMGRP_IPV4_IFADDR), size, was, n;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	socklen_t len = sizeof(int);
	bool same;
	char buf[16384];

	MUST(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &was, &len));
	change(RTM_NEWADDR, 6);
	change(RTM_DELADDR, 6);
	CHECK(poll(&p, 1, 1000) == 1, "there is no event");
	victim_ready();
	victim_wait();
	MUST(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len));
	CHECK(size == was, "SO_RCVBUF: expected %d, got %d", was, size);
	n = (int)recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	/* either nothing was lost, as it only was dumped, or that is told */
	same = n > 0 && ((struct nlmsghdr *)buf)->nlmsg_type == RTM_NEWADDR;
	CHECK(same || (n == -1 && errno == ENOBUFS), "expected ENOBUFS, got %d (%s)", n,
		strerror(errno));
	CHECK(!same || victim_dead_s() == 0, "an event that cannot be there");
	drain(fd);
	change(RTM_NEWADDR, 7);
	expect_event(fd, RTM_NEWADDR, 7);
	change(RTM_DELADDR, 7);
}

static void answer(void)
{
	int fd = netlink(SOCK_RAW, NETLINK_ROUTE, 0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[16384];

	request(fd, RTM_GETADDR);
	CHECK(poll(&p, 1, 1000) == 1, "no answer");
	victim_ready();
	victim_wait();
	CHECK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0, "the answer is not there");
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"plain", plain}, {"events", events}, {"missed", missed}, {"answer", answer}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
