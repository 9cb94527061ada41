/*
 * unix_peek.c - see unix_peek.h.
 *
 * A peek of a stream gives all bytes from the start on, and ends behind those that descriptors came with
 * (SCM_RIGHTS), or where the credentials change. It gives duplicates of the descriptors in flight.
 */
#include "kernel/unix_peek.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <asm/ioctls.h>

#include "kernel/apart.h"
#include "util/fd.h"
#include "util/vec.h"

#define FIRST_ROOM (256UL * 1024)
#define CONTROL_ROOM                                                                               \
	(CMSG_SPACE(UNIX_RIGHTS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + 4096)
#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif
#define SCM_PIDFD_TYPE 4 /* Linux 6.5 */

struct peek {
	int fd, type;
	int was; /* SO_PEEK_OFF */
	size_t pos, total;
	struct unix_pieces *to;
	uint8_t *room, *control;
	size_t cap;
	bool cut; /* the last one was longer than there was room for */
};

void unix_pieces_done(struct unix_pieces *p)
{
	for (size_t i = 0; i < p->n; i++) {
		for (size_t k = 0; k < p->v[i].n_fds; k++)
			fd_close(p->v[i].fds[k]);
		free(p->v[i].fds);
		free(p->v[i].data);
	}
	free(p->v);
	*p = (struct unix_pieces){0};
}

static int take_rights(struct unix_piece *k, const struct cmsghdr *m, size_t len)
{
	k->fds = malloc(len ? len : 1);
	if (!k->fds)
		return -ENOMEM;
	memcpy(k->fds, CMSG_DATA(m), len);
	k->n_fds = len / sizeof(int);
	return 0;
}

static int read_control(struct msghdr *h, struct unix_piece *k)
{
	int r = 0;

	for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
		size_t len = m->cmsg_len - CMSG_LEN(0);
		int pidfd;

		if (m->cmsg_level != SOL_SOCKET)
			continue;
		if (m->cmsg_type == SCM_RIGHTS && !k->fds) {
			r = take_rights(k, m, len);
		} else if (m->cmsg_type == SCM_CREDENTIALS && len == sizeof(k->cred)) {
			memcpy(&k->cred, CMSG_DATA(m), len);
		} else if (m->cmsg_type == SCM_PIDFD_TYPE && len == sizeof(pidfd)) {
			memcpy(&pidfd, CMSG_DATA(m), len);
			fd_close(pidfd);
		}
	}
	return r;
}

static int move_to(const struct peek *p, int off)
{
	return setsockopt(p->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0 ? -errno : 0;
}

/* One piece more. Return: 0; -EAGAIN there is none; -errno */
static int peek_one(struct peek *p, size_t max)
{
	struct unix_piece k = {0};
	struct iovec iov = {p->room, max};
	struct msghdr h = {.msg_name = &k.from.un,
		.msg_namelen = sizeof(k.from.un) + 1,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = p->control,
		.msg_controllen = CONTROL_ROOM};
	ssize_t n;
	int r;

	if (vec_reserve(&p->to->v, &p->to->cap, p->to->n + 1, sizeof(k)) < 0)
		return -ENOMEM;
	n = recvmsg(p->fd, &h, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	k.from.len = h.msg_namelen;
	k.len = (size_t)n;
	p->cut = k.len > max;
	r = read_control(&h, &k);
	k.data = malloc(k.len ? k.len : 1);
	if (k.data && !p->cut)
		memcpy(k.data, p->room, k.len);
	p->to->v[p->to->n++] = k;
	if (h.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	return k.data ? r : -ENOMEM;
}

static void drop_last(struct peek *p)
{
	struct unix_pieces last = {.v = NULL};

	last.v = malloc(sizeof(*last.v));
	if (!last.v)
		return;
	last.v[0] = p->to->v[--p->to->n];
	last.n = 1;
	unix_pieces_done(&last);
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
	p->cap = MAX(p->cap, len);
	return 0;
}

static int stream_piece(struct peek *p)
{
	int r = peek_one(p, p->total - p->pos);
	size_t len = r == 0 ? p->to->v[p->to->n - 1].len : 0;

	p->pos += len;
	return r == 0 && !len ? -EIO : r;
}

static int rest_of_stream(void *arg)
{
	struct peek *p = arg;
	int r = 0;

	while (r == 0 && p->pos < p->total) {
		r = move_to(p, (int)p->pos);
		if (r == 0)
			r = stream_piece(p);
	}
	move_to(p, p->was);
	return r;
}

/* Most streams have nothing but bytes in them, and are looked at at once. */
static int read_stream(struct peek *p)
{
	int r = room_for(p, p->total);

	if (r == 0 && p->total && p->was < 0)
		r = stream_piece(p);
	return r == 0 && p->pos < p->total ? apart(rest_of_stream, p) : r;
}

/* The end of a connection reads like an empty packet, again and again. */
static bool at_end(const struct peek *p, const struct unix_piece *k)
{
	struct pollfd in = {.fd = p->fd, .events = POLLRDHUP};

	return !k->len && !k->n_fds && p->type == SOCK_SEQPACKET && p->pos >= p->total &&
	       poll(&in, 1, 0) > 0 && in.revents & POLLRDHUP;
}

static int all_packets(void *arg)
{
	struct peek *p = arg;
	int r = move_to(p, 0);

	while (r == 0) {
		const struct unix_piece *k;
		size_t len;

		r = room_for(p, FIRST_ROOM);
		if (r == 0)
			r = peek_one(p, p->cap);
		if (r < 0)
			break;
		k = &p->to->v[p->to->n - 1];
		len = k->len;
		if (p->cut) {
			drop_last(p);
			r = room_for(p, len);
			if (r == 0)
				r = move_to(p, (int)p->pos);
		} else if (at_end(p, k)) {
			drop_last(p);
			break;
		} else {
			p->pos += len;
		}
	}
	move_to(p, p->was);
	return r == -EAGAIN ? 0 : r;
}

int unix_peek(int fd, int type, struct unix_pieces *ret)
{
	struct peek p = {.fd = fd, .type = type, .was = -1, .to = ret};
	struct pollfd in = {.fd = fd, .events = POLLIN};
	socklen_t len = sizeof(p.was);
	int total = 0, r;

	*ret = (struct unix_pieces){0};
	if (poll(&in, 1, 0) <= 0 || !(in.revents & POLLIN))
		return 0;
	if (ioctl(fd, FIONREAD, &total) < 0)
		return -errno;
	p.total = (size_t)total;
	p.control = malloc(CONTROL_ROOM);
	if (!p.control)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &p.was, &len) < 0)
		p.was = -1;
	r = type == SOCK_STREAM ? read_stream(&p) : apart(all_packets, &p);
	free(p.room);
	free(p.control);
	return r;
}
