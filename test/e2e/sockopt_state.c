/*
 * e2e: args: sizes stamps filter
 *
 * Holds: options of which one decides about another. sizes: buffers of a set size, and one that may grow again.
 *        stamps: the four kinds of time stamps, old and new. filter: a classic filter, and one that is locked.
 * Shows: "socket options ... round-tripped; classic filters (SO_ATTACH_FILTER, locked filters)".
 */
#include "inet.h"
#include <linux/filter.h>
#include <linux/net_tstamp.h>

#define SO_BUF_LOCK_NUMBER 72

static void sizes(void)
{
	static const int wanted[] = {4096, 50001, 100000, 3000000};
	int fd[4], grows = MUST(socket(AF_INET, SOCK_DGRAM, 0)), snd[4], rcv[4], lock, at;

	for (int i = 0; i < 4; i++) {
		fd[i] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
		inet_set(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, wanted[i]);
		if (i)
			inet_set(fd[i], SOL_SOCKET, SO_RCVBUFFORCE, wanted[3 - i]);
		snd[i] = inet_get(fd[i], SOL_SOCKET, SO_SNDBUF);
		rcv[i] = inet_get(fd[i], SOL_SOCKET, SO_RCVBUF);
		CHECK(i == 0 || snd[i] == 2 * wanted[i], "the size was not taken");
	}
	inet_set(grows, SOL_SOCKET, SO_RCVBUF, 30000);
	at = 0;
	lock = setsockopt(grows, SOL_SOCKET, SO_BUF_LOCK_NUMBER, &at, sizeof(at));
	victim_ready();
	victim_wait();
	for (int i = 0; i < 4; i++) {
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_SNDBUF) == snd[i],
			"socket %d: SO_SNDBUF %d, was %d", i,
			inet_get(fd[i], SOL_SOCKET, SO_SNDBUF), snd[i]);
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_RCVBUF) == rcv[i],
			"socket %d: SO_RCVBUF %d, was %d", i,
			inet_get(fd[i], SOL_SOCKET, SO_RCVBUF), rcv[i]);
	}
	CHECK(inet_get(grows, SOL_SOCKET, SO_RCVBUF) == 60000, "SO_RCVBUF: expected 60000, got %d",
		inet_get(grows, SOL_SOCKET, SO_RCVBUF));
	if (lock < 0)
		return;
	CHECK(inet_get(grows, SOL_SOCKET, SO_BUF_LOCK_NUMBER) == 0, "it may not grow any more");
	CHECK(inet_get(fd[0], SOL_SOCKET, SO_BUF_LOCK_NUMBER) == 1, "another lock: %d",
		inet_get(fd[0], SOL_SOCKET, SO_BUF_LOCK_NUMBER));
	CHECK(inet_get(fd[1], SOL_SOCKET, SO_BUF_LOCK_NUMBER) == 3, "another lock: %d",
		inet_get(fd[1], SOL_SOCKET, SO_BUF_LOCK_NUMBER));
}

static void stamps(void)
{
	static const int names[] = {
		SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW};
	int fd[6], was[6][4], tx = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	for (int i = 0; i < 6; i++) {
		fd[i] = MUST(socket(AF_INET, SOCK_DGRAM, 0));
		if (i < 4)
			inet_set(fd[i], SOL_SOCKET, names[i], 1);
		if (i >= 3)
			inet_set(fd[i], SOL_SOCKET,
				i == 5 ? SO_TIMESTAMPING_NEW : SO_TIMESTAMPING_OLD, tx);
		for (int k = 0; k < 4; k++)
			was[i][k] = inet_get(fd[i], SOL_SOCKET, names[k]);
	}
	CHECK(was[0][0] && was[1][1] && was[2][2], "a time stamp was not taken");
	victim_ready();
	victim_wait();
	for (int i = 0; i < 6; i++) {
		for (int k = 0; k < 4; k++)
			CHECK(inet_get(fd[i], SOL_SOCKET, names[k]) == was[i][k],
				"socket %d: time stamps %d: was %d", i, names[k], was[i][k]);
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_TIMESTAMPING_OLD) == (i >= 3 ? tx : 0),
			"socket %d: SO_TIMESTAMPING is %#x", i,
			inet_get(fd[i], SOL_SOCKET, SO_TIMESTAMPING_OLD));
	}
}

/* What was sent just now may take a moment. */
static ssize_t take(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[64];

	poll(&p, 1, 2000);
	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
}

/* Lets in what is longer than 20 bytes with its header of 8. */
static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 20, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {sizeof(code) / sizeof(*code), code};
	int fd[3], none = 0;

	for (int i = 0; i < 3; i++) {
		fd[i] = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", 0);
		inet_connect(fd[i], "127.0.0.1", inet_port(fd[i]));
		/* what is there before the filter is not asked by it */
		CHECK(send(fd[i], "first", 5, 0) == 5, "send: %s", strerror(errno));
		if (i)
			MUST(setsockopt(fd[i], SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
		if (i == 2)
			inet_set(fd[i], SOL_SOCKET, SO_LOCK_FILTER, 1);
	}
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++) {
		struct sock_filter got[8];
		socklen_t n = 8;

		CHECK(take(fd[i]) == 5, "the first is not there");
		CHECK(send(fd[i], "short", 5, 0) == 5 &&
				send(fd[i], "one that is long", 16, 0) == 16,
			"send: %s", strerror(errno));
		if (!i)
			CHECK(take(fd[i]) == 5, "it has a filter now");
		CHECK(take(fd[i]) == 16, "not the long one");
		MUST(getsockopt(fd[i], SOL_SOCKET, SO_GET_FILTER, got, &n));
		CHECK(n == (i ? 4 : 0) && (!i || !memcmp(got, code, sizeof(code))),
			"socket %d: another filter, of %u instructions", i, n);
		CHECK(inet_get(fd[i], SOL_SOCKET, SO_LOCK_FILTER) == (i == 2),
			"socket %d: the lock", i);
	}
	CHECK(setsockopt(fd[2], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) == -1 &&
			errno == EPERM,
		"a locked filter comes off");
	MUST(setsockopt(fd[1], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
}

int main(int argc, char **argv)
{
	static const struct victim_case cases[] = {
		{"sizes", sizes}, {"stamps", stamps}, {"filter", filter}};

	return victim_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
