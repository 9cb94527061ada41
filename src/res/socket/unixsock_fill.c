/*
 * unixsock_fill.c - what was in the queues of unix sockets is sent again, when all that may be in flight
 * is open.
 *
 * A datagram is sent by the socket that had sent it, or by one that has its name for a while. A socket
 * that is connected takes datagrams of its peer alone, so those of others come before it is connected.
 * Whoever has sent more than its buffer is said to hold gets a larger one for that time.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/stand_in.h"
#include "proto/creds.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "proto/socket.pb-c.h"
#include "res/thread/thread.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define LARGE (512 << 20) /* bytes of a buffer */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

static int fail(struct open_ctx *o, const struct unix_end *e, int err, const char *call)
{
	return op_fail(o->op, CKPT_E_SYSTEM, err, call, NULL, "unix socket %llu (file %llu)",
		(unsigned long long)e->m->ino, (unsigned long long)e->id);
}

/* ---- room to send ---- */

struct room {
	int fd, size, lock;
};

static struct room room_make(int fd)
{
	struct room k = {.fd = fd, .lock = -1};
	socklen_t len = sizeof(k.size);
	int large = LARGE;

	getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &k.size, &len);
	len = sizeof(k.lock);
	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &k.lock, &len) < 0)
		k.lock = -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	return k;
}

/* The kernel doubles what is set. */
static void room_done(const struct room *k)
{
	int size = k->size / 2;

	if (setsockopt(k->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(k->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (k->lock >= 0)
		setsockopt(k->fd, SOL_SOCKET, SO_BUF_LOCK, &k->lock, sizeof(k->lock));
}

/* ---- one message ---- */

struct send_call {
	int fd;
	const Ckpt__UnixMessage *e;
	size_t at; /* bytes of it that are sent */
	const struct unix_addr *to;
	int fds[UNIX_RIGHTS_MAX];
};

/* Return: the descriptors and credentials of a message, as they stand in @room */
static size_t put_control(const struct send_call *c, struct msghdr *h)
{
	struct cmsghdr *m = CMSG_FIRSTHDR(h);
	struct ucred cred;
	size_t len = 0, bytes = c->e->n_files * sizeof(int);

	if (c->e->cred) {
		cred = (struct ucred){c->e->cred->pid, c->e->cred->uid, c->e->cred->gid};
		m->cmsg_level = SOL_SOCKET;
		m->cmsg_type = SCM_CREDENTIALS;
		m->cmsg_len = CMSG_LEN(sizeof(cred));
		memcpy(CMSG_DATA(m), &cred, sizeof(cred));
		len += CMSG_SPACE(sizeof(cred));
		m = (struct cmsghdr *)((char *)h->msg_control + len);
	}
	if (bytes) {
		m->cmsg_level = SOL_SOCKET;
		m->cmsg_type = SCM_RIGHTS;
		m->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(m), c->fds, bytes);
		len += CMSG_SPACE(bytes);
	}
	return len;
}

/* Of a stream as much as goes at once; descriptors go with the first byte. */
static int call_send(void *arg)
{
	struct send_call *c = arg;
	char control[CMSG_SPACE(sizeof(c->fds)) + CMSG_SPACE(sizeof(struct ucred))] = {0};
	struct iovec iov = {c->e->data.data + c->at, c->e->data.len - c->at};
	struct msghdr h = {.msg_name = c->to ? (void *)&c->to->un : NULL,
		.msg_namelen = c->to ? c->to->len : 0,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	h.msg_controllen = put_control(c, &h);
	do {
		n = sendmsg(c->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		h.msg_control = NULL;
		h.msg_controllen = 0;
	} while (n && iov.iov_len);
	return 0;
}

/* With its credentials: the kernel takes them only of a process that is there. */
static int send_as(struct send_call *c)
{
	struct stand_in who = {.pid = c->e->cred ? c->e->cred->pid : 0};
	int r = call_send(c);

	return r == -ESRCH && who.pid ? stand_in_run(&who, call_send, c) : r;
}

static int send_message(struct open_ctx *o, const struct unix_end *to, int fd,
	const Ckpt__UnixMessage *e, const struct unix_addr *addr)
{
	struct send_call c = {.fd = fd, .e = e, .to = addr};
	Ckpt__UnixMessage plain = *e;
	int r;

	if (e->n_files > UNIX_RIGHTS_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"%zu descriptors in one message", e->n_files);
	for (size_t i = 0; i < e->n_files; i++) {
		c.fds[i] = plan_fd(o->plan, e->files[i]);
		if (c.fds[i] < 0)
			return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"file %u, which is in flight, is not in the image", e->files[i]);
	}
	r = send_as(&c);
	if (e->cred && (r == -EPERM || r == -EEXIST)) {
		op_warn(o->op,
			"unix socket %llu: a message of pid %d comes without its credentials (%s)",
			(unsigned long long)to->m->ino, e->cred->pid, strerror(-r));
		plain.cred = NULL;
		c.e = &plain;
		r = send_as(&c);
	}
	return r == -EAGAIN || r == 0 ? r : fail(o, to, -r, "sendmsg");
}

/* ---- streams and packets: from the other end ---- */

static int fill_from(struct open_ctx *o, const struct unix_end *e, int from)
{
	struct room room;
	int r = 0;

	if (!e->m->n_queue)
		return 0;
	room = room_make(from);
	for (size_t i = 0; r == 0 && i < e->m->n_queue; i++)
		r = send_message(o, e, from, e->m->queue[i], NULL);
	room_done(&room);
	return r == -EAGAIN ? fail(o, e, EAGAIN, "sendmsg") : r;
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
	struct room room;
	int fd, r;

	if (!from && e->peer < 0)
		other = stranger(o, msg);
	fd = from ? from->fd : e->peer >= 0 ? e->peer : other;
	if (fd < 0)
		return fd;
	if (!plain && !unix_address(e->fd, &e->m->name, &to, &file))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: a datagram to a unix socket without a name",
			(unsigned long long)e->id);
	room = room_make(fd);
	r = send_message(o, e, fd, msg, plain ? NULL : &to);
	if (r == -EAGAIN && from && e->m->peer == from->id && !e->connected) {
		r = connect_dgram(o, w, e); /* a peer may send more */
		if (r == 0)
			r = send_message(o, e, fd, msg, plain ? NULL : &to);
	}
	room_done(&room);
	return r == -EAGAIN ? fail(o, e, EAGAIN, "sendmsg") : r;
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

	if (e->connected)
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
		return fail(o, e, errno, "socket");
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
		return fail(o, e, errno, "send");
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
	return shutdown(e->fd, how[mask]) < 0 ? fail(o, e, errno, "shutdown") : 0;
}

static int fill_all(struct open_ctx *o, struct unix_world *w)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n; i++) {
		struct unix_end *e = &w->v[i];

		if (e->socket->type != SOCK_DGRAM)
			r = fill_stream(o, w, e);
		for (size_t k = 0; r == 0 && e->socket->type == SOCK_DGRAM && k < e->m->n_queue;
			k++)
			r = fill_dgram(o, w, e, e->m->queue[k]);
	}
	for (size_t i = 0; r == 0 && i < w->n; i++)
		if (w->v[i].socket->type == SOCK_DGRAM)
			r = connect_dgram(o, w, &w->v[i]);
	return r;
}

/* ---- who has not been accepted yet, and who connects to somebody outside ---- */

struct connect_again {
	int fd;
	struct unix_addr to;
};

static int call_connect_again(void *arg)
{
	const struct connect_again *c = arg;

	return connect(c->fd, (const struct sockaddr *)&c->to.un, c->to.len) < 0 ? -errno : 0;
}

/* The first task that has it is taken for who had connected it. */
static int who_has(struct open_ctx *o, uint64_t id, Ckpt__UnixCred *ret)
{
	const struct model_rec *rec;
	const Ckpt__Creds *c;
	size_t pos = 0;

	*ret = (Ckpt__UnixCred)CKPT__UNIX_CRED__INIT;
	while ((rec = model_next(o->model, &res_fdtable.type, &pos))) {
		if (!fdtable_entry_of((const void *)rec->msg, (uint32_t)id))
			continue;
		c = model_get(o->model, &res_creds.type, rec->owner);
		if (c && c->like)
			c = model_get(o->model, &res_creds.type, (uint64_t)c->like);
		if (!c || c->n_uid < 2 || c->n_gid < 2)
			return -ENOENT;
		ret->pid = (pid_t)rec->owner;
		ret->uid = c->uid[1];
		ret->gid = c->gid[1];
		ret->groups = c->groups;
		ret->n_groups = c->n_groups;
		return 0;
	}
	return -ENOENT;
}

/* The kernel notes who sends to one that is not accepted. */
static int send_again(struct open_ctx *o, const struct unix_end *e, Ckpt__UnixCred *who)
{
	struct room room;
	int r = 0;

	if (!e->m->n_sent)
		return 0;
	room = room_make(e->fd);
	for (size_t i = 0; r == 0 && i < e->m->n_sent; i++) {
		Ckpt__UnixMessage m = *e->m->sent[i];

		m.cred = who;
		r = send_message(o, e, e->fd, &m, NULL);
	}
	room_done(&room);
	return r == -EAGAIN ? fail(o, e, EAGAIN, "sendmsg") : r;
}

static int knock(struct open_ctx *o, const struct unix_end *listener, struct unix_end *e)
{
	Ckpt__UnixCred who;
	bool known = who_has(o, e->id, &who) == 0;
	int r = unix_listen(o, listener->fd, e->m->peer_cred, (int)listener->m->backlog);

	if (r == 0)
		r = unix_connect(o, e->fd, listener->fd, &listener->m->name, known ? &who : NULL);
	return r < 0 ? r : send_again(o, e, known ? &who : NULL);
}

/* In the order in which they will be accepted. */
static int knock_all(struct open_ctx *o, struct unix_world *w, const struct unix_end *listener)
{
	int r = 0;

	for (uint32_t place = 0, found = 1; r == 0 && found; place++) {
		found = 0;
		for (size_t i = 0; r == 0 && i < w->n; i++) {
			struct unix_end *e = &w->v[i];

			if (e->m->peer_is != CKPT__UNIX_SOCK__PEER__WAITING ||
				e->m->peer != listener->id || e->m->place != place)
				continue;
			found = 1;
			r = knock(o, listener, e);
		}
	}
	return r < 0 ? r
		     : unix_listen(
			       o, listener->fd, listener->m->peer_cred, (int)listener->m->backlog);
}

/* To whoever has the name now. */
static int reconnect(struct open_ctx *o, const struct unix_end *e)
{
	struct connect_again c = {.fd = e->fd};
	Ckpt__UnixCred who;
	int r;

	if (e->m->peer_is != CKPT__UNIX_SOCK__PEER__OUTSIDE)
		return 0;
	if (!unix_addr_of(&e->m->peer_name, &c.to))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"the name of a unix socket");
	r = unix_as(o, who_has(o, e->id, &who) == 0 ? &who : NULL, call_connect_again, &c);
	if (r == 0)
		return 0;
	return op_fail(o->op, CKPT_E_CONFLICT, -r, "connect", "start the program that serves it",
		"unix socket %s%.*s, which is to be connected again",
		e->m->peer_name.data[0] ? "" : "@",
		(int)e->m->peer_name.len - !e->m->peer_name.data[0],
		(char *)e->m->peer_name.data + !e->m->peer_name.data[0]);
}

int unix_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	struct unix_world *w = o->unix_world;
	int r;

	(void)rec;
	(void)fd;
	if (!w || w->filled)
		return 0;
	w->filled = true;
	for (size_t i = 0; i < w->n; i++)
		w->v[i].fd = plan_fd(o->plan, w->v[i].id);
	r = fill_all(o, w);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = close_peer(o, &w->v[i]);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = socket_options(o, w->v[i].id, w->v[i].fd, SOCKOPT_LAST);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = w->v[i].m->listening ? knock_all(o, w, &w->v[i]) : reconnect(o, &w->v[i]);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = shut(o, &w->v[i]);
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = socket_flags(o, w->v[i].id, w->v[i].fd);
	return r;
}
