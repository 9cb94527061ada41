/*
 * unixsock_queue.c - what waits in a unix socket to be received, as messages.
 *
 * A peek at a stream tells that descriptors came, but not with which byte: it looks further than it copies,
 * and gives the next descriptors even to who asks for one byte. Where the queues can be looked at otherwise
 * (kernel/unix_queues.h) that is known; else they are taken to have come with the last one: so is whoever
 * reads message by message, or more at once, as well off as before, and so is who sends them with a byte
 * of their own. Nor does a peek find an empty datagram that was looked at before.
 *
 * Credentials are shown only to a socket that has SO_PASSCRED, so only there they are known.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <asm/ioctls.h>

#include "kernel/unix_peek.h"
#include "kernel/unix_queues.h"
#include "res/file/in_flight.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define LOOKS 3

struct reading {
	struct collect *c;
	Ckpt__UnixSock *m;
	size_t cap;
	const struct unix_queue *buffers; /* NULL: not known */
};

static int add_files(struct reading *k, Ckpt__UnixMessage *e, struct unix_piece *p)
{
	int r = 0;

	e->files = p->n_fds ? calloc(p->n_fds, sizeof(*e->files)) : NULL;
	if (p->n_fds && !e->files)
		return collect_oom(k->c);
	for (size_t i = 0; r == 0 && i < p->n_fds; i++) {
		r = files_in_flight(k->c->tree, p->fds[i], &e->files[e->n_files++]);
		p->fds[i] = -EBADF;
	}
	return r;
}

static int add_cred(struct reading *k, Ckpt__UnixMessage *e, const struct ucred *cred)
{
	if (!cred->pid)
		return 0;
	e->cred = msg_new(Ckpt__UnixCred, CKPT__UNIX_CRED__INIT);
	if (!e->cred)
		return collect_oom(k->c);
	e->cred->pid = cred->pid;
	e->cred->uid = cred->uid;
	e->cred->gid = cred->gid;
	return 0;
}

/* One message, of some bytes of a piece; with its descriptors where @rights. */
static int add_message(struct reading *k, struct unix_piece *p, size_t at, size_t len, bool rights)
{
	Ckpt__UnixMessage *e = msg_new(Ckpt__UnixMessage, CKPT__UNIX_MESSAGE__INIT);
	ProtobufCBinaryData from = unix_addr_name(&p->from);
	int r;

	if (!e || vec_reserve(&k->m->queue, &k->cap, k->m->n_queue + 1, sizeof(*k->m->queue)) < 0) {
		free(e);
		return collect_oom(k->c);
	}
	k->m->queue[k->m->n_queue++] = e;
	e->data = msg_bytes(p->data + at, len);
	e->from = msg_bytes(from.data, from.len);
	if ((len && !e->data.data) || (from.len && !e->from.data))
		return collect_oom(k->c);
	r = add_cred(k, e, &p->cred);
	return r < 0 || !rights ? r : add_files(k, e, p);
}

void unix_queues_forget(struct collect_tree *t)
{
	if (t->unix_queues)
		unix_queues_done(t->unix_queues);
	free(t->unix_queues);
	t->unix_queues = NULL;
}

/* @data: what is in those that nobody has accepted yet is needed */
static int read_queues(struct collect_tree *t, bool data)
{
	int r;

	if (t->unix_queues && t->unix_queues->data && data && !t->unix_queues->with_data)
		unix_queues_forget(t);
	if (t->unix_queues)
		return t->unix_queues->data ? 0 : -EOPNOTSUPP;
	t->unix_queues = calloc(1, sizeof(*t->unix_queues));
	r = t->unix_queues ? unix_queues_read(t->unix_queues, data) : -ENOMEM;
	if (r < 0)
		op_debug(t->op, "the queues of unix sockets can't be looked at by BPF: %s",
			strerror(-r));
	return r;
}

/* Sockets of others that come and go may hide one, so who is missing is looked for again. */
const struct unix_queue *unix_queue_of(struct collect_tree *t, uint64_t ino, uint64_t peer)
{
	const struct unix_queue *q = NULL;

	for (int i = 0; !q && i < LOOKS; i++) {
		if (i)
			unix_queues_forget(t);
		if (read_queues(t, !ino) < 0)
			break;
		q = unix_queues_find(t->unix_queues, ino, peer);
	}
	return q;
}

/* How many bytes of a piece, which begins at @pos, stand before the one that descriptors came with. */
static size_t before_rights(const struct unix_queue *q, size_t pos, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; q && i < q->n; i++) {
		if (q->v[i].rights && at >= pos)
			return at - pos < len ? at - pos : len - 1;
		at += q->v[i].len - q->v[i].consumed;
	}
	return len - 1;
}

static int add_stream(struct reading *k, struct unix_pieces *all)
{
	size_t pos = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < all->n; i++) {
		struct unix_piece *p = &all->v[i];
		size_t plain = p->n_fds ? before_rights(k->buffers, pos, p->len) : p->len;

		if (plain)
			r = add_message(k, p, 0, plain, false);
		if (r == 0 && plain < p->len)
			r = add_message(k, p, plain, p->len - plain, true);
		pos += p->len;
	}
	return r;
}

/* An empty one that the peek has not found. */
static int add_hidden(struct reading *k, const struct unix_skb *b)
{
	struct unix_piece empty = {.data = (uint8_t *)""};

	empty.from = b->from;
	return add_message(k, &empty, 0, 0, false);
}

static int add_packets(struct reading *k, struct unix_pieces *all)
{
	const struct unix_queue *q = k->buffers;
	size_t i = 0;
	int r = 0;

	for (size_t b = 0; r == 0 && q && b < q->n; b++) {
		if (!q->v[b].len && (i == all->n || all->v[i].len))
			r = add_hidden(k, &q->v[b]);
		else if (i < all->n)
			r = add_message(k, &all->v[i], 0, all->v[i].len, true), i++;
	}
	for (; r == 0 && i < all->n; i++)
		r = add_message(k, &all->v[i], 0, all->v[i].len, true);
	return r;
}

static bool any_rights(const struct unix_pieces *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].n_fds)
			return true;
	return false;
}

static int refuse_reset(struct collect *c, const Ckpt__UnixSock *m, int fd)
{
	int waiting = 0;

	if (ioctl(fd, FIONREAD, &waiting) == 0 && !waiting)
		return 0;
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program read it",
		"pid %d (%s): unix socket %llu: packets behind an error (ECONNRESET) that was not "
		"read yet can't be saved",
		c->pid, c->tr->comm, (unsigned long long)m->ino);
}

static int fail_peek(struct collect *c, const Ckpt__UnixSock *m, int r)
{
	return op_fail(c->op, CKPT_E_SYSTEM, -r, "recvmsg(MSG_PEEK)",
		r == -EMFILE ? "raise the limit of open files (ulimit -n)" : NULL,
		"pid %d (%s): what waits in unix socket %llu", c->pid, c->tr->comm,
		(unsigned long long)m->ino);
}

int unix_queue_collect(struct collect *c, Ckpt__UnixSock *m, int fd, int type)
{
	struct reading k = {.c = c, .m = m};
	struct pollfd in = {.fd = fd, .events = POLLIN};
	struct unix_pieces all;
	int r;

	if (poll(&in, 1, 0) <= 0 || !(in.revents & POLLIN))
		return 0;
	/* a peek at packets would take the error away */
	if (m->reset && type != SOCK_STREAM)
		return refuse_reset(c, m, fd);
	r = unix_peek(fd, type, &all);
	/* the end of a connection, and what only who is connected can have */
	if (r == -ENOTCONN || r == -ECONNRESET || r == -EINVAL)
		r = 0;
	else if (r < 0)
		r = fail_peek(c, m, r);
	if (r == 0 && (type != SOCK_STREAM || any_rights(&all)))
		k.buffers = unix_queue_of(c->tree, m->ino, 0);
	if (r == 0)
		r = type == SOCK_STREAM ? add_stream(&k, &all) : add_packets(&k, &all);
	unix_pieces_done(&all);
	return r;
}
