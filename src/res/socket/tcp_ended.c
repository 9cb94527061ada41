/*
 * tcp_ended.c - sockets whose connection has ended, at a restore.
 *
 * What such a socket still shows is what was received before, its end, and an error that was not told
 * yet. A connection to ourselves is made, and ends in the same way.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/tcp_backlog.h"
#include "kernel/tcp_repair.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/fd.h"

#define ROOM_SPARE (64UL * 1024)

/* The new socket is refused; it keeps the error. */
static int refuse(int fd, struct sockaddr_storage *at, socklen_t len, int *l)
{
	*l = fd_close(*l);
	connect(fd, (struct sockaddr *)at, len);
	return 0;
}

static int end_like(int fd, int peer, const Ckpt__Tcp *m)
{
	struct linger reset = {.l_onoff = 1};
	struct timeval patience = {.tv_sec = 2};
	const ProtobufCBinaryData *b = &m->state->received;
	int r = setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ? -errno
											   : 0;

	if (r == 0 && b->len)
		r = write_full(peer, b->data, b->len);
	if (r < 0)
		return r;
	if (m->error == CKPT__TCP__ERROR__RESET)
		return setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ? -errno
											  : 0;
	return shutdown(peer, SHUT_WR) < 0 || shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

/* A connection of the new socket to one of ours, which then ends. */
static int connect_and_end(
	int fd, const Ckpt__Tcp *m, struct sockaddr_storage *at, socklen_t len, int l)
{
	_cleanup_close_ int peer = -EBADF;
	int r = tcp_room(fd, SO_RCVBUF, 2 * m->state->received.len + ROOM_SPARE);

	/* over loopback it is connected at once, although it does not wait */
	if (r == 0 && connect(fd, (struct sockaddr *)at, len) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r < 0)
		return r;
	peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	return peer < 0 ? -errno : end_like(fd, peer, m);
}

int tcp_ended_open(struct open_ctx *o, const Ckpt__Tcp *m, int fd)
{
	struct sockaddr_storage at;
	_cleanup_close_ int l = -EBADF;
	int family = 0, r = 0;
	socklen_t len = sizeof(family);

	if (!m->state)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a connection that has ended has no state");
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
		return tcp_open_fail(o, m, errno, "getsockopt");
	l = tcp_loopback_listen(family, &at, &len);
	if (l < 0)
		r = l;
	else if (m->error == CKPT__TCP__ERROR__CONNECTION_REFUSED)
		r = refuse(fd, &at, len, &l);
	else
		r = connect_and_end(fd, m, &at, len, l);
	tcp_rooms(fd, m->state);
	return r < 0 ? tcp_open_fail(o, m, -r, "a connection that has ended") : 0;
}
