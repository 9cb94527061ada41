/*
 * What the victims with sockets of IP share: addresses, and what is told of a socket.
 */
#ifndef TEST_E2E_INET_H
#define TEST_E2E_INET_H

#include "fds.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

union inet_any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static inline socklen_t inet_len(const union inet_any *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

/* "127.0.0.1" or "::1"; port 0: any. */
static inline union inet_any inet_of(const char *ip, int port)
{
	union inet_any a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, ip, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
	} else {
		CHECK(inet_pton(AF_INET6, ip, &a.in6.sin6_addr) == 1, "no address: %s", ip);
		a.in6.sin6_family = AF_INET6;
	}
	a.in.sin_port = htons(port);
	return a;
}

/* Whether this machine has IPv6. */
static inline bool inet_has_v6(void)
{
	union inet_any a = inet_of("::1", 0);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool has = fd >= 0 && bind(fd, &a.sa, sizeof(a.in6)) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

/* Port 0: one that no other program is given by chance while this one is dead. */
static inline int inet_bound(int type, int protocol, const char *ip, int port)
{
	static int next;
	union inet_any a = inet_of(ip, port);
	int fd = MUST(socket(a.sa.sa_family, type, protocol)), err;

	do {
		if (!port)
			a.in.sin_port = htons(10000 + (getpid() * 64 + next++) % 20000);
		err = bind(fd, &a.sa, inet_len(&a)) < 0 ? errno : 0;
	} while (err == EADDRINUSE && !port && next < 20000);
	CHECK(!err, "bind %s: %s", ip, strerror(err));
	return fd;
}

static inline void inet_connect(int fd, const char *ip, int port)
{
	union inet_any a = inet_of(ip, port);

	CHECK(connect(fd, &a.sa, inet_len(&a)) == 0, "connect %s: %s", ip, strerror(errno));
}

static inline int inet_port(int fd)
{
	union inet_any a;
	socklen_t len = sizeof(a);

	MUST(getsockname(fd, &a.sa, &len));
	return ntohs(a.in.sin_port);
}

/* What a socket tells of itself. */
struct inet_view {
	int family, type, protocol, peer_errno, events;
	union inet_any local, peer;
	unsigned flags;
	uid_t uid;
	gid_t gid;
};

static inline void inet_view(int fd, struct inet_view *v)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
	socklen_t len = sizeof(int);
	struct stat st;

	memset(v, 0, sizeof(*v));
	MUST(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v->family, &len));
	MUST(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v->type, &len));
	MUST(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v->protocol, &len));
	len = sizeof(v->local);
	MUST(getsockname(fd, &v->local.sa, &len));
	len = sizeof(v->peer);
	v->peer_errno = getpeername(fd, &v->peer.sa, &len) < 0 ? errno : 0;
	v->flags = MUST(fcntl(fd, F_GETFL));
	MUST(poll(&p, 1, 0));
	v->events = p.revents;
	MUST(fstat(fd, &st));
	v->uid = st.st_uid;
	v->gid = st.st_gid;
}

static inline void inet_expect(int fd, const struct inet_view *was, const char *what)
{
	struct inet_view now;

	inet_view(fd, &now);
	CHECK(now.family == was->family && now.type == was->type && now.protocol == was->protocol,
		"%s: expected %d/%d/%d, got %d/%d/%d", what, was->family, was->type, was->protocol,
		now.family, now.type, now.protocol);
	CHECK(!memcmp(&now.local, &was->local, sizeof(now.local)),
		"%s: it has another address: port %d, was %d", what, ntohs(now.local.in.sin_port),
		ntohs(was->local.in.sin_port));
	CHECK(now.peer_errno == was->peer_errno, "%s: peer: expected '%s', got '%s'", what,
		strerror(was->peer_errno), strerror(now.peer_errno));
	CHECK(!memcmp(&now.peer, &was->peer, sizeof(now.peer)), "%s: it has another peer", what);
	CHECK(now.flags == was->flags, "%s: flags: expected %#o, got %#o", what, was->flags,
		now.flags);
	CHECK(now.events == was->events, "%s: poll: expected %#x, got %#x", what, was->events,
		now.events);
	CHECK(now.uid == was->uid && now.gid == was->gid, "%s: owner: expected %u:%u, got %u:%u",
		what, was->uid, was->gid, now.uid, now.gid);
}

static inline void inet_set(int fd, int level, int name, int value)
{
	CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0, "option %d of %d: %s", name,
		level, strerror(errno));
}

static inline int inet_get(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	CHECK(getsockopt(fd, level, name, &value, &len) == 0, "option %d of %d: %s", name, level,
		strerror(errno));
	return value;
}

#endif
