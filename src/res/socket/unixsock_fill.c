/*
 * unixsock_fill.c - what was in the queues of unix sockets is sent again, when all that may be in flight
 * is open.
 *
 * A datagram is sent by the socket that had sent it, or by one that has its name for a while. A socket
 * that is connected takes datagrams of its peer alone, so those of others come before it is connected.
 *
 * A descriptor in flight may be one that only a task can open, such as a pidfd of another. What waits in that
 * socket is then sent when all tasks are complete; and so long it stays as it is before it is filled.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/socket.pb-c.h"
#include "res/file/in_flight.h"
#include "util/cleanup.h"
#include "util/fd.h"

/* ---- streams and packets: from the other end ---- */

static int fill_from(struct open_ctx *o, const struct unix_end *e, int from)
{
	struct unix_room room;
	int r = 0;

	if (!e->m->n_queue)
		return 0;
	room = unix_room_make(from);
	for (size_t i = 0; r == 0 && i < e->m->n_queue; i++)
		r = unix_send(o, e, from, e->m->queue[i], NULL);
	unix_room_done(&room);
	return r == -EAGAIN ? unix_fail(o, e, EAGAIN, "sendmsg") : r;
}

static int fill_stream(struct open_ctx *o, struct unix_world *w, const struct unix_end *e)
{
	const struct unix_end *peer = unix_end_of(w, e->m->peer);

	if (e->peer >= 0)
		return fill_from(o, e, e->peer);
	if (e->m->peer_is != CKPT__UNIX_SOCK__PEER__HERE || !peer)
		return 0;
	return fill_from(o, e, peer->fd);
}

/* ---- datagrams: from whoever sent them ---- */

/* One that has the name of a sender that is not there any more. Negative after op_fail() */
static int stranger(struct open_ctx *o, const Ckpt__UnixMessage *e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct unix_addr a;

	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "socket", NULL, "a unix socket");
	if (e->from.len && !e->from.data[0]) {
		if (unix_addr_of(&e->from, &a) && bind(fd, (struct sockaddr *)&a.un, a.len) < 0)
			op_warn(o->op,
				"a datagram of unix socket @%.*s comes without that name: %s",
				(int)e->from.len - 1, (char *)e->from.data + 1, strerror(errno));
	} else if (e->from.len && unix_bind(o, fd, &e->from, "", NULL) < 0) {
		return -EIO;
	}
	return TAKE_FD(fd);
}

static int connect_dgram(struct open_ctx *o, struct unix_world *w, struct unix_end *e);

/* Whether a datagram goes there without an address: socketpair(2) has connected them. */
static bool paired(const struct unix_end *from, const struct unix_end *to)
{
	return from && from->m->peer == to->id && !to->m->name.len;
}

static int fill_dgram(
	struct open_ctx *o, struct unix_world *w, struct unix_end *e, const Ckpt__UnixMessage *msg)
{
	struct unix_end *from = msg->sender ? unix_end_of(w, msg->sender) : NULL;
	_cleanup_close_ int other = -EBADF, file = -EBADF;
	bool plain = paired(from, e) || (!from && e->peer >= 0 && !e->m->name.len);
	struct unix_addr to;
	struct unix_room room;
	int fd, r;

	if (!from && e->peer < 0)
		other = stranger(o, msg);
	fd = from ? from->fd : e->peer >= 0 ? e->peer : other;
	if (fd < 0)
		return fd;
	if (!plain && !unix_address(w, e->fd, &e->m->name, &to, &file))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: a datagram to a unix socket without a name",
			(unsigned long long)e->id);
	room = unix_room_make(fd);
	r = unix_send(o, e, fd, msg, plain ? NULL : &to);
	if (r == -EAGAIN && from && e->m->peer == from->id && !e->connected) {
		r = connect_dgram(o, w, e); /* a peer may send more */
		if (r == 0)
			r = unix_send(o, e, fd, msg, plain ? NULL : &to);
	}
	unix_room_done(&room);
	return r == -EAGAIN ? unix_fail(o, e, EAGAIN, "sendmsg") : r;
}

/*
 * To where it was connected at the dump, unless socketpair(2) has done that. Who is connected can be
 * connected to by its peer alone, so all others come first.
 */
static int connect_dgram(struct open_ctx *o, struct unix_world *w, struct unix_end *e)
{
	const struct unix_end *peer = unix_end_of(w, e->m->peer);
	_cleanup_close_ int gone = -EBADF;
	int r = 0;

	if (e->connected || (e->later && !w->filled_late))
		return 0;
	e->connected = true;
	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->v[i].m->peer == e->id && w->v[i].socket->type == SOCK_DGRAM)
			r = connect_dgram(o, w, &w->v[i]);
	if (r < 0)
		return r;
	if (e->m->peer_is == CKPT__UNIX_SOCK__PEER__HERE && peer && peer->m->name.len)
		return unix_connect(o, e->fd, peer->fd, &peer->m->name, NULL);
	if (e->m->peer_is != CKPT__UNIX_SOCK__PEER__GONE || !e->m->peer_name.len || e->paired)
		return 0;
	gone = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (gone < 0)
		return unix_fail(o, e, errno, "socket");
	r = unix_bind(o, gone, &e->m->peer_name, "", NULL);
	return r < 0 ? r : unix_connect(o, e->fd, gone, &e->m->peer_name, NULL);
}

/* ---- the end of each ---- */

/* A peer that went with unread data has left an error behind. */
static int close_peer(struct open_ctx *o, struct unix_end *e)
{
	if (e->peer < 0)
		return 0;
	if (e->m->reset && send(e->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return unix_fail(o, e, errno, "send");
	e->peer = fd_close(e->peer);
	return 0;
}

static int shut(struct open_ctx *o, const struct unix_end *e)
{
	static const int how[] = {-1, SHUT_RD, SHUT_WR, SHUT_RDWR};
	unsigned mask = e->m->shutdown & 3;

	if (!mask || e->m->peer_is == CKPT__UNIX_SOCK__PEER__GONE)
		if (e->socket->type != SOCK_DGRAM || !mask)
			return 0;
	return shutdown(e->fd, how[mask]) < 0 ? unix_fail(o, e, errno, "shutdown") : 0;
}

/* @later: those that are filled late, else all others */
static int fill_all(struct open_ctx *o, struct unix_world *w, bool later)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++) {
		struct unix_end *e = &w->v[i];

		if (e->later != later)
			continue;
		if (e->socket->type != SOCK_DGRAM)
			r = fill_stream(o, w, e);
		for (size_t k = 0; r == 0 && e->socket->type == SOCK_DGRAM && k < e->m->n_queue;
			k++)
			r = fill_dgram(o, w, e, e->m->queue[k]);
	}
	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->v[i].socket->type == SOCK_DGRAM && w->v[i].later == later)
			r = connect_dgram(o, w, &w->v[i]);
	return r;
}

/* ---- all of them ---- */

static bool carries_late(struct open_ctx *o, const Ckpt__UnixSock *m)
{
	bool any = false;

	for (size_t i = 0; i < m->n_queue; i++)
		for (size_t k = 0; k < m->queue[i]->n_files; k++)
			any |= files_need_late(o->plan, m->queue[i]->files[k]);
	return any;
}

/* Datagram sockets are connected in an order among them all. */
static void find_later(struct open_ctx *o, struct unix_world *w)
{
	bool dgram = false;

	for (size_t i = 0; i < w->n; i++) {
		w->v[i].later = carries_late(o, w->v[i].m);
		dgram |= w->v[i].later && w->v[i].socket->type == SOCK_DGRAM;
	}
	for (size_t i = 0; dgram && i < w->n; i++)
		w->v[i].later |= w->v[i].socket->type == SOCK_DGRAM;
}

/* What comes after a queue is filled. @later: as of fill_all() */
static int end_all(struct open_ctx *o, struct unix_world *w, bool later)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->v[i].later == later)
			r = close_peer(o, &w->v[i]);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->v[i].later == later)
			r = socket_options(o, w->v[i].id, w->v[i].fd, SOCKOPT_LAST);
	return r;
}

/* Who is shut, or whose peer is, takes and sends nothing any more. */
static int shut_all(struct open_ctx *o, struct unix_world *w, bool later)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++) {
		const struct unix_end *peer = unix_end_of(w, w->v[i].m->peer);

		if ((w->v[i].later || (peer && peer->later)) == later)
			r = shut(o, &w->v[i]);
	}
	return r;
}

int unix_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	struct unix_world *w = o->plan->unix_world;
	int r;

	(void)rec;
	(void)fd;
	if (!w || w->filled)
		return 0;
	w->filled = true;
	for (size_t i = 0; i < w->n; i++)
		w->v[i].fd = plan_fd(o->plan, w->v[i].id);
	find_later(o, w);
	r = fill_all(o, w, false);
	if (r == 0)
		r = end_all(o, w, false);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = w->v[i].m->listening ? unix_knock_all(o, w, &w->v[i])
					 : unix_reconnect(o, &w->v[i]);
	if (r == 0)
		r = shut_all(o, w, false);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = socket_flags(o, w->v[i].id, w->v[i].fd);
	return r;
}

int unix_go(struct plan *p)
{
	struct open_ctx o = {.op = p->op, .req = p->req, .model = p->model, .plan = p};
	struct unix_world *w = p->unix_world;
	bool any = false;
	int r;

	for (size_t i = 0; w && i < w->n; i++)
		any |= w->v[i].later;
	if (!any)
		return 0;
	w->filled_late = true;
	r = fill_all(&o, w, true);
	if (r == 0)
		r = end_all(&o, w, true);
	return r < 0 ? r : shut_all(&o, w, true);
}
