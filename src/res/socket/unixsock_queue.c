/*
 * unixsock_queue.c - what waits in a unix socket to be received, looked at by MSG_PEEK.
 *
 * A peek of a stream gives all bytes from the start on, and ends behind those that descriptors came with
 * (SCM_RIGHTS), or where the credentials change. With which byte they came it does not tell: a peek looks
 * further than it copies, and gives the next descriptors even to who asks for one byte. Where the queues
 * can be looked at otherwise (kernel/unix_queues.h) that is known; else they are taken to have come with
 * the last one: so is whoever reads message by message, or more at once, as well off as before, and so is
 * who sends them with a byte of their own. What stands behind is reached by SO_PEEK_OFF,
 * as are the packets behind the first; then that is put back as it was.
 *
 * A peek gives us duplicates of the descriptors in flight. Credentials are shown only to a socket that
 * has SO_PASSCRED, so only there they are known.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <asm/ioctls.h>

#include "kernel/unix_queues.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define FIRST_ROOM (256UL * 1024)
#define CONTROL_ROOM                                                                               \
	(CMSG_SPACE(UNIX_RIGHTS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + 4096)
#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif
#define SCM_PIDFD_TYPE 4 /* Linux 6.5 */

struct peek {
	struct collect *c;
	int fd;
	Ckpt__UnixSock *m;
	size_t cap_queue;
	int was;             /* SO_PEEK_OFF */
	bool moved, packets; /* packets: of a connection */
	uint8_t *room;
	size_t cap;
	uint8_t *control;
};

/* What one peek gave. */
struct piece {
	size_t len;
	bool cut; /* it is longer than there was room for */
	int fds[UNIX_RIGHTS_MAX];
	size_t n_fds;
	struct ucred cred; /* pid 0: none */
	struct unix_addr from;
};

static void piece_close(struct piece *p)
{
	for (size_t i = 0; i < p->n_fds; i++)
		fd_close(p->fds[i]);
	p->n_fds = 0;
}

static void read_control(struct msghdr *h, struct piece *ret)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
		size_t len = m->cmsg_len - CMSG_LEN(0);
		int pidfd;

		if (m->cmsg_level != SOL_SOCKET)
			continue;
		if (m->cmsg_type == SCM_RIGHTS) {
			ret->n_fds = MIN(len / sizeof(int), (size_t)UNIX_RIGHTS_MAX);
			memcpy(ret->fds, CMSG_DATA(m), ret->n_fds * sizeof(int));
		} else if (m->cmsg_type == SCM_CREDENTIALS && len == sizeof(ret->cred)) {
			memcpy(&ret->cred, CMSG_DATA(m), len);
		} else if (m->cmsg_type == SCM_PIDFD_TYPE && len == sizeof(pidfd)) {
			memcpy(&pidfd, CMSG_DATA(m), len);
			if (pidfd >= 0)
				close(pidfd);
		}
	}
}

static int move_to(struct peek *p, int off)
{
	p->moved = true;
	return setsockopt(p->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0 ? -errno : 0;
}

/* Return: 0; -EAGAIN there is no more; -errno */
static int peek_one(struct peek *p, size_t max, struct piece *ret)
{
	struct iovec iov = {p->room, max};
	struct msghdr h = {.msg_name = &ret->from.un,
		.msg_namelen = sizeof(ret->from.un) + 1,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = p->control,
		.msg_controllen = CONTROL_ROOM};
	ssize_t n;

	*ret = (struct piece){0};
	n = recvmsg(p->fd, &h, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	ret->from.len = h.msg_namelen;
	ret->cut = h.msg_flags & MSG_TRUNC && (size_t)n > max;
	ret->len = n;
	read_control(&h, ret);
	if (!(h.msg_flags & MSG_CTRUNC))
		return 0;
	piece_close(ret);
	return -EMFILE;
}

static int add_files(struct peek *p, Ckpt__UnixMessage *e, struct piece *k)
{
	int r = 0;

	e->files = k->n_fds ? calloc(k->n_fds, sizeof(*e->files)) : NULL;
	if (k->n_fds && !e->files)
		return collect_oom(p->c);
	for (size_t i = 0; r == 0 && i < k->n_fds; i++) {
		r = files_in_flight(p->c->tree, k->fds[i], &e->files[e->n_files++]);
		k->fds[i] = -EBADF;
	}
	return r;
}

static int add_cred(struct peek *p, Ckpt__UnixMessage *e, const struct ucred *cred)
{
	if (!cred->pid)
		return 0;
	e->cred = msg_new(Ckpt__UnixCred, CKPT__UNIX_CRED__INIT);
	if (!e->cred)
		return collect_oom(p->c);
	e->cred->pid = cred->pid;
	e->cred->uid = cred->uid;
	e->cred->gid = cred->gid;
	return 0;
}

/* One message, of bytes in the room. The descriptors of @k are taken. */
static int add_message(struct peek *p, size_t at, size_t len, struct piece *k)
{
	Ckpt__UnixMessage *e = msg_new(Ckpt__UnixMessage, CKPT__UNIX_MESSAGE__INIT);
	ProtobufCBinaryData from = unix_addr_name(&k->from);
	int r;

	if (!e || vec_reserve(&p->m->queue, &p->cap_queue, p->m->n_queue + 1,
			  sizeof(*p->m->queue)) < 0) {
		free(e);
		return collect_oom(p->c);
	}
	p->m->queue[p->m->n_queue++] = e;
	e->data = msg_bytes(p->room + at, len);
	e->from = msg_bytes(from.data, from.len);
	if ((len && !e->data.data) || (from.len && !e->from.data))
		return collect_oom(p->c);
	r = add_cred(p, e, &k->cred);
	return r < 0 ? r : add_files(p, e, k);
}

static int room_for(struct peek *p, size_t len)
{
	uint8_t *more;

	if (len <= p->cap)
		return 0;
	more = realloc(p->room, len);
	if (!more)
		return -ENOMEM;
	p->room = more;
	p->cap = len;
	return 0;
}

const struct unix_queues *unix_queues_of(struct collect_tree *t)
{
	static const struct unix_queues none;
	int r;

	if (t->unix_queues)
		return t->unix_queues;
	t->unix_queues = calloc(1, sizeof(*t->unix_queues));
	r = t->unix_queues ? unix_queues_read(t->unix_queues) : -ENOMEM;
	if (r < 0)
		op_debug(t->op, "the queues of unix sockets can't be looked at by BPF: %s",
			strerror(-r));
	return t->unix_queues ? t->unix_queues : &none;
}

void unix_queues_forget(struct collect_tree *t)
{
	if (t->unix_queues)
		unix_queues_done(t->unix_queues);
	free(t->unix_queues);
	t->unix_queues = NULL;
}

/* How many bytes of a piece, which begins at @pos, stand before the one that descriptors came with. */
static size_t before_rights(const struct peek *p, size_t pos, size_t len)
{
	const struct unix_queue *q = unix_queues_find(unix_queues_of(p->c->tree), p->m->ino, 0);
	size_t at = 0;

	for (size_t i = 0; q && i < q->n; i++) {
		if (q->v[i].rights && at >= pos)
			return at - pos < len ? at - pos : len - 1;
		at += q->v[i].len - q->v[i].consumed;
	}
	return len - 1;
}

static int add_piece(struct peek *p, size_t pos, struct piece *k)
{
	size_t plain = k->n_fds ? before_rights(p, pos, k->len) : 0;
	struct piece first = {.cred = k->cred};
	int r = plain ? add_message(p, 0, plain, &first) : 0;

	return r < 0 ? r : add_message(p, plain, k->len - plain, k);
}

static int read_stream(struct peek *p)
{
	int total = 0, r = 0;
	struct piece k;

	if (ioctl(p->fd, FIONREAD, &total) < 0)
		return -errno;
	if (room_for(p, (size_t)total) < 0)
		return -ENOMEM;
	for (size_t pos = 0; r == 0 && pos < (size_t)total; pos += k.len) {
		if (pos || p->was >= 0)
			r = move_to(p, (int)pos);
		if (r == 0)
			r = peek_one(p, (size_t)total - pos, &k);
		if (r == 0 && !k.len)
			r = -EIO;
		if (r < 0)
			break;
		r = add_piece(p, pos, &k);
		piece_close(&k);
	}
	return r;
}

/* The end of a connection reads like an empty packet, again and again. */
static bool at_end(const struct peek *p, const struct piece *k)
{
	struct pollfd in = {.fd = p->fd, .events = POLLRDHUP};

	return !k->len && !k->n_fds && p->packets && poll(&in, 1, 0) > 0 && in.revents & POLLRDHUP;
}

static int read_packets(struct peek *p)
{
	int total = 0, r = move_to(p, 0);
	size_t pos = 0;
	struct piece k;

	if (ioctl(p->fd, FIONREAD, &total) < 0)
		return -errno;
	while (r == 0) {
		r = room_for(p, FIRST_ROOM);
		if (r == 0)
			r = peek_one(p, p->cap, &k);
		if (r < 0)
			break;
		if (k.cut) {
			piece_close(&k);
			r = room_for(p, k.len);
			if (r == 0)
				r = move_to(p, (int)pos);
			continue;
		}
		if (at_end(p, &k) && pos >= (size_t)total)
			break;
		pos += k.len;
		r = add_message(p, 0, k.len, &k);
		piece_close(&k);
	}
	return r == -EAGAIN ? 0 : r;
}

static void peek_done(struct peek *p)
{
	if (p->moved)
		move_to(p, p->was);
	free(p->room);
	free(p->control);
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

int unix_queue_collect(struct collect *c, Ckpt__UnixSock *m, int fd, int type)
{
	struct peek p = {.c = c, .fd = fd, .m = m, .was = -1, .packets = type == SOCK_SEQPACKET};
	struct pollfd in = {.fd = fd, .events = POLLIN};
	socklen_t len = sizeof(p.was);
	int r;

	if (poll(&in, 1, 0) <= 0 || !(in.revents & POLLIN))
		return 0;
	/* a peek at packets would take the error away */
	if (m->reset && type != SOCK_STREAM)
		return refuse_reset(c, m, fd);
	p.control = malloc(CONTROL_ROOM);
	if (!p.control)
		return collect_oom(c);
	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &p.was, &len) < 0)
		p.was = -1;
	r = type == SOCK_STREAM ? read_stream(&p) : read_packets(&p);
	peek_done(&p);
	/* the end of a connection, and what only who is connected can have */
	if (r == -ENOTCONN || r == -ECONNRESET || r == -EINVAL)
		r = 0;
	if (r < 0 && !c->op->failed)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "recvmsg(MSG_PEEK)",
			r == -EMFILE ? "raise the limit of open files (ulimit -n)" : NULL,
			"pid %d (%s): what waits in unix socket %llu", c->pid, c->tr->comm,
			(unsigned long long)m->ino);
	return r;
}
