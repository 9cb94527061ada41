/*
 * socket.c - what all kinds of sockets have in common: what they are, and their options.
 *
 * Options are compared with those of a new socket of the same kind, and only what differs is saved:
 * an image stays small, and a restore sets what the program has set. A size of a buffer that the program
 * never set grows by itself, and is set only if the kernel says that it was locked by the program.
 */
#include "res/socket/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/sock_diag.h"
#include "proto/fdtable.pb-c.h"
#include "proto/socket.pb-c.h"
#include "res/socket/sockopt.h"
#include "util/cleanup.h"

int socket_collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Socket *m = msg_new(Ckpt__Socket, CKPT__SOCKET__INIT);

	if (!m)
		return collect_oom(c);
	m->family = l->sock->family;
	m->type = l->sock->type;
	m->protocol = l->sock->protocol;
	if (sockopt_collect(c->tree, l->fd, m) < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return collect_oom(c);
	}
	return collect_add_take(c, &res_socket.type, id, m);
}

int socket_diag(struct collect_tree *t, int family, int protocol, const struct sock_diag **ret)
{
	int r;

	if (!t->diag)
		t->diag = calloc(1, sizeof(*t->diag));
	r = t->diag ? sock_diag_read(t->diag, family, protocol) : -ENOMEM;
	*ret = t->diag;
	if (r == 0)
		return 0;
	return op_fail(t->op, CKPT_E_SYSTEM, -r, "sock_diag",
		r == -EOPNOTSUPP ? "load the modules unix_diag, tcp_diag, udp_diag, raw_diag, "
				   "netlink_diag, af_packet_diag"
				 : NULL,
		"sockets of family %d, protocol %d", family, protocol);
}

void socket_done(struct collect_tree *t)
{
	if (t->diag)
		sock_diag_done(t->diag);
	free(t->diag);
	t->diag = NULL;
	sockopt_done(t);
}

const struct Ckpt__Socket *socket_record(struct open_ctx *o, uint64_t id)
{
	const Ckpt__Socket *m = model_get(o->model, &res_socket.type, id);

	if (!m)
		op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: nothing says what socket it is", (unsigned long long)id);
	return m;
}

/* Numbers are checked by the kernel; lengths here. */
static int set_option(
	struct open_ctx *o, int fd, const struct sockopt *row, const Ckpt__SocketOption *e)
{
	int r;

	if (e->value.len > SOCKOPT_VALUE_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify", "%s of %zu bytes",
			row->text, e->value.len);
	r = sockopt_set(fd, row, e->value.data, (socklen_t)e->value.len);
	if (r == 0)
		return 0;
	if (row->soft) {
		op_warn(o->op, "%s of a socket is not set again: %s%s%s", row->text, strerror(-r),
			row->needs && r == -EPERM ? "; it takes " : "",
			row->needs && r == -EPERM ? row->needs : "");
		return 0;
	}
	return op_fail(o->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r, "setsockopt",
		r == -ENOPROTOOPT || r == -EOPNOTSUPP ? "this kernel does not have it" : NULL,
		"%s of a socket%s%s%s", row->text, row->needs && r == -EPERM ? " (takes " : "",
		row->needs && r == -EPERM ? row->needs : "", row->needs && r == -EPERM ? ")" : "");
}

int socket_options(struct open_ctx *o, uint64_t id, int fd, enum sockopt_when when)
{
	const Ckpt__Socket *m = socket_record(o, id);
	int r = m ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < m->n_options; i++) {
		const struct sockopt *row = sockopt_find(m->options[i]->level, m->options[i]->name);

		if (!row)
			return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"socket option %d of level %d is not known", m->options[i]->name,
				m->options[i]->level);
		if (row->when == when || (row->again && when == SOCKOPT_LAST))
			r = set_option(o, fd, row, m->options[i]);
	}
	return r;
}

int socket_new(struct open_ctx *o, uint64_t id)
{
	const Ckpt__Socket *m = socket_record(o, id);
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!m)
		return -EBADMSG;
	fd = socket(m->family, m->type | SOCK_CLOEXEC | SOCK_NONBLOCK, m->protocol);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "socket", NULL,
			"a socket of family %d, type %d, protocol %d", m->family, m->type,
			m->protocol);
	r = socket_options(o, id, fd, SOCKOPT_NEW);
	return r < 0 ? r : TAKE_FD(fd);
}

int socket_flags(struct open_ctx *o, uint64_t id, int fd)
{
	const Ckpt__File *f = model_get(o->model, &res_file.type, id);

	if (f && fcntl(fd, F_SETFL, (int)f->flags & (O_NONBLOCK | O_APPEND | O_NOATIME)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "fcntl(F_SETFL)", NULL, "a socket");
	return 0;
}

const struct res res_socket = {
	.type = {"socket", SCOPE_FILE, &ckpt__socket__descriptor, NULL},
};
