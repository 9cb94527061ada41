/*
 * unixsock_send.c - one message is sent into a unix socket again, as it was.
 *
 * Whoever has sent more than its buffer is said to hold gets a larger one for that time.
 */
#include "res/socket/unixsock.h"

#include <errno.h>
#include <string.h>

#include "kernel/stand_in.h"
#include "kernel/syscalls.h"
#include "util/vec.h"

#define LARGE (512 << 20) /* bytes of a buffer */

/* ---- room to send ---- */

struct unix_room unix_room_make(int fd)
{
	struct unix_room k = {.fd = fd, .lock = -1};
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
void unix_room_done(const struct unix_room *k)
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

int unix_send(struct open_ctx *o, const struct unix_end *to, int fd, const Ckpt__UnixMessage *e,
	const struct unix_addr *addr)
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
	return r == -EAGAIN || r == 0 ? r : unix_fail(o, to, -r, "sendmsg");
}
