/*
 * vsock.c - sockets between virtual machines and their host, vsock(7): new, bound, listening.
 *
 * A connection can't come back: its other side, mostly in another machine, is not held by anybody meanwhile, and
 * there is no repair mode. Nor does the kernel tell how many may wait at a listening socket; it is the usual number.
 */
/* before linux/vm_sockets.h, which rests on it */
#include <sys/socket.h>

#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "proto/vsock.pb-c.h"
#include "res/socket/socket.h"
#include "util/cleanup.h"

#define CANNOT "of vsock can't be held until it is back"
#define ADVICE "let the program close it"

static bool match(const struct file_look *l)
{
	return l->sock && l->sock->family == AF_VSOCK;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	(void)procfd;
	if (l->sock->connected)
		return (struct file_verdict){CKPT_REFUSED, "a connection " CANNOT, ADVICE};
	return socket_verdict(l);
}

static int refuse(struct collect *c, const struct file_look *l, const char *what)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, ADVICE, "pid %d (%s): fd %d: %s " CANNOT,
		c->pid, c->tr->comm, l->target_fd, what);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct sockaddr_vm a = {0};
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	socklen_t len = sizeof(a);
	Ckpt__Vsock *m;
	int r;

	if (l->sock->connected)
		return refuse(c, l, "a connection");
	if (l->sock->listening && poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		return refuse(c, l, "a connection that is not accepted yet");
	len = sizeof(a);
	if (getsockname(l->fd, (struct sockaddr *)&a, &len) < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, errno, "getsockname", NULL,
			"pid %d (%s): fd %d", c->pid, c->tr->comm, l->target_fd);
	r = socket_collect(c, id, l);
	m = r == 0 ? msg_new(Ckpt__Vsock, CKPT__VSOCK__INIT) : NULL;
	if (!m)
		return r < 0 ? r : collect_oom(c);
	m->bound = a.svm_port != VMADDR_PORT_ANY;
	m->cid = a.svm_cid;
	m->port = a.svm_port;
	m->listening = l->sock->listening;
	return collect_add_take(c, &res_vsock.type, id, m);
}

static int make(struct open_ctx *o, uint64_t id, int fd, const struct model_rec *rec)
{
	const Ckpt__Vsock *m = (const void *)rec->msg;
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = m->cid, .svm_port = m->port};
	int r;

	if (m->bound && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "bind",
			errno == EADDRINUSE ? "another program has that port now" : NULL,
			"vsock %u:%u", m->cid, m->port);
	if (m->listening && listen(fd, SOMAXCONN) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "listen", NULL, "vsock %u:%u", m->cid,
			m->port);
	r = socket_options(o, id, fd, SOCKOPT_BOUND);
	if (r == 0)
		r = socket_options(o, id, fd, SOCKOPT_LAST);
	return r < 0 ? r : socket_flags(o, id, fd);
}

static int open_vsock(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	(void)file_record;
	return socket_open(o, id, rec, make);
}

static const struct file_ops ops = {
	.match = match, .verdict = verdict, .collect = collect, .open = open_vsock};

const struct res res_vsock = {
	.type = {"vsock", SCOPE_FILE, &ckpt__vsock__descriptor, NULL},
	.file = &ops,
};
