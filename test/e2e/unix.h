/*
 * What the victims of unix sockets share: how a socket looks from inside, and messages with what comes
 * beside their bytes.
 */
#ifndef TEST_E2E_UNIX_H
#define TEST_E2E_UNIX_H

#include "fds.h"
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/sockios.h>

#define UNIX_FDS_MAX 8

/* Everything that a program can ask of a unix socket without using it. */
struct unix_view {
	struct fds_view file;
	struct sockaddr_storage name, peer;
	socklen_t name_len, peer_len; /* peer: 0: not connected */
	struct ucred cred;
	gid_t groups[64];
	socklen_t groups_len;
	int type, listening, sndbuf, rcvbuf, passcred, peek_off;
	short poll;
};

static inline int unix_opt(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	MUST(getsockopt(fd, SOL_SOCKET, name, &v, &len));
	return v;
}

static inline short unix_poll(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};

	MUST(poll(&p, 1, 0));
	return p.revents;
}

static inline void unix_view(int fd, struct unix_view *v)
{
	socklen_t len = sizeof(v->cred);

	memset(v, 0, sizeof(*v));
	fds_view(fd, &v->file);
	v->name_len = sizeof(v->name);
	MUST(getsockname(fd, (void *)&v->name, &v->name_len));
	v->peer_len = sizeof(v->peer);
	if (getpeername(fd, (void *)&v->peer, &v->peer_len) < 0)
		v->peer_len = 0;
	MUST(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &v->cred, &len));
	v->groups_len = sizeof(v->groups);
	if (getsockopt(fd, SOL_SOCKET, 59 /* SO_PEERGROUPS */, v->groups, &v->groups_len) < 0)
		v->groups_len = 0;
	v->type = unix_opt(fd, SO_TYPE);
	v->listening = unix_opt(fd, SO_ACCEPTCONN);
	v->sndbuf = unix_opt(fd, SO_SNDBUF);
	v->rcvbuf = unix_opt(fd, SO_RCVBUF);
	v->passcred = unix_opt(fd, SO_PASSCRED);
	v->peek_off = unix_opt(fd, SO_PEEK_OFF);
	v->poll = unix_poll(fd);
}

#define UNIX_SAME(field)                                                                           \
	CHECK(now.field == was->field, "%s: " #field ": expected %lld, got %lld", what,            \
		(long long)was->field, (long long)now.field)

static inline void unix_expect(int fd, const struct unix_view *was, const char *what)
{
	struct unix_view now;

	unix_view(fd, &now);
	fds_expect(fd, &was->file, false, what);
	UNIX_SAME(name_len);
	CHECK(!memcmp(&now.name, &was->name, was->name_len), "%s: it has another name: '%s'", what,
		((struct sockaddr_un *)&now.name)->sun_path);
	UNIX_SAME(peer_len);
	CHECK(!memcmp(&now.peer, &was->peer, was->peer_len), "%s: its peer has another name", what);
	CHECK(now.cred.pid == victim_now(was->cred.pid), "%s: cred.pid: expected %d, got %d", what,
		victim_now(was->cred.pid), now.cred.pid);
	UNIX_SAME(cred.uid);
	UNIX_SAME(cred.gid);
	UNIX_SAME(groups_len);
	CHECK(!memcmp(now.groups, was->groups, was->groups_len), "%s: groups of the peer", what);
	UNIX_SAME(type);
	UNIX_SAME(listening);
	UNIX_SAME(sndbuf);
	UNIX_SAME(rcvbuf);
	UNIX_SAME(passcred);
	UNIX_SAME(peek_off);
	UNIX_SAME(poll);
}

/* The handshake, and that all sockets look the same afterwards. */
static inline void unix_handshake(const int *fd, int n)
{
	struct unix_view was[32];
	char what[32];

	for (int i = 0; i < n; i++)
		unix_view(fd[i], &was[i]);
	victim_ready();
	victim_wait();
	for (int i = 0; i < n; i++) {
		snprintf(what, sizeof(what), "socket %d (fd %d)", i, fd[i]);
		unix_expect(fd[i], &was[i], what);
	}
}

/* An address: a path, or an abstract name after '@'. */
static inline socklen_t unix_addr(struct sockaddr_un *a, const char *name)
{
	size_t len = strlen(name);

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, name, len);
	if (name[0] == '@')
		a->sun_path[0] = '\0';
	return offsetof(struct sockaddr_un, sun_path) + len + (name[0] != '@');
}

static inline int unix_bound(int type, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, name);
	int fd = MUST(socket(AF_UNIX, type, 0));

	MUST(bind(fd, (void *)&a, len));
	return fd;
}

static inline int unix_listening(int type, const char *name, int backlog)
{
	int fd = unix_bound(type, name);

	MUST(listen(fd, backlog));
	return fd;
}

static inline void unix_connect(int fd, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = unix_addr(&a, name);

	MUST(connect(fd, (void *)&a, len));
}

static inline int unix_client(int type, const char *name)
{
	int fd = MUST(socket(AF_UNIX, type, 0));

	unix_connect(fd, name);
	return fd;
}

/* A name that no other test has, abstract where it begins with '@'. */
static inline const char *unix_own_name(const char *name)
{
	static char room[8][64];
	static int n;
	char *s = room[n++ % 8];

	snprintf(s, 64, "%s-%d", name, (int)getpid());
	return s;
}

/* One message with descriptors; of len 1 to 4096 bytes, by seed. */
static inline void unix_send(int fd, int seed, size_t len, const int *fds, int n)
{
	char buf[4096], control[CMSG_SPACE(UNIX_FDS_MAX * sizeof(int))] = {0};
	struct iovec iov = {buf, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	for (size_t i = 0; i < len; i++)
		buf[i] = fds_byte(seed, i);
	if (n) {
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	CHECK(sendmsg(fd, &h, 0) == (ssize_t)len, "sendmsg: %s", strerror(errno));
}

struct unix_got {
	ssize_t len;
	int fds[UNIX_FDS_MAX], n;
	struct ucred cred; /* pid -1: none */
	struct sockaddr_un from;
	socklen_t from_len;
	int flags;
};

/* Up to max bytes; those must be what unix_send() with that seed has sent, from @at on. */
static inline struct unix_got unix_recv(int fd, int seed, size_t at, size_t max, int flags)
{
	static char buf[1 << 20];
	char control[512];
	struct unix_got got = {.cred.pid = -1};
	struct iovec iov = {buf, max};
	struct msghdr h = {.msg_name = &got.from,
		.msg_namelen = sizeof(got.from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};

	got.len = recvmsg(fd, &h, flags | MSG_DONTWAIT);
	if (got.len < 0) {
		got.len = -errno;
		return got;
	}
	got.from_len = h.msg_namelen;
	got.flags = h.msg_flags;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_type == SCM_RIGHTS) {
			got.n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(got.fds, CMSG_DATA(c), got.n * sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&got.cred, CMSG_DATA(c), sizeof(got.cred));
		}
	}
	for (ssize_t i = 0; i < got.len; i++)
		CHECK(buf[i] == fds_byte(seed, at + i), "message %d: byte %zd is wrong", seed, i);
	return got;
}

static inline void unix_expect_packet(int fd, int seed, ssize_t len, const char *what)
{
	struct unix_got got = unix_recv(fd, seed, 0, 1 << 20, 0);

	CHECK(got.len == len, "%s: expected %zd bytes, got %zd", what, len, got.len);
}

static inline void unix_expect_nothing(int fd, const char *what)
{
	struct unix_got got = unix_recv(fd, 0, 0, 1, 0);

	CHECK(got.len == -EAGAIN, "%s: expected nothing to read, got %zd", what, got.len);
}

static inline void unix_expect_end(int fd, const char *what)
{
	struct unix_got got = unix_recv(fd, 0, 0, 1, 0);

	CHECK(got.len == 0, "%s: expected the end, got %zd", what, got.len);
}

/* Both directions are alive. */
static inline void unix_expect_talk(int a, int b, const char *what)
{
	unix_send(a, 71, 100, NULL, 0);
	unix_expect_packet(b, 71, 100, what);
	unix_send(b, 72, 200, NULL, 0);
	unix_expect_packet(a, 72, 200, what);
}

#endif
