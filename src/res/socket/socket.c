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
#include "util/vec.h"

/* The longest value of an option in the table. */
#define VALUE_MAX 256

static int add_option(
	Ckpt__Socket *m, size_t *cap, const struct sockopt *row, const void *value, socklen_t len)
{
	Ckpt__SocketOption *o = msg_new(Ckpt__SocketOption, CKPT__SOCKET_OPTION__INIT);

	if (!o || vec_reserve(&m->options, cap, m->n_options + 1, sizeof(*m->options)) < 0) {
		free(o);
		return -ENOMEM;
	}
	o->level = row->level;
	o->name = row->name;
	o->value = msg_bytes(value, len);
	m->options[m->n_options++] = o;
	return o->value.data || !len ? 0 : -ENOMEM;
}

/* Those that differ from the ones of @plain, a new socket of the same kind; -EBADF: there is none. */
static int collect_options(Ckpt__Socket *m, int fd, int plain)
{
	size_t n, cap = 0;
	const struct sockopt *rows = sockopts(&n);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		uint8_t value[VALUE_MAX] = {0}, usual[VALUE_MAX] = {0};
		socklen_t len = sizeof(value), usual_len = sizeof(usual);

		if (!sockopt_applies(&rows[i], m->family, m->type) ||
			getsockopt(fd, rows[i].level, rows[i].name, value, &len) < 0)
			continue;
		if (plain < 0 ||
			getsockopt(plain, rows[i].level, rows[i].name, usual, &usual_len) < 0)
			usual_len = 0;
		if (len != usual_len || memcmp(value, usual, len) != 0)
			r = add_option(m, &cap, &rows[i], value, len);
	}
	return r;
}

int socket_collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Socket *m = msg_new(Ckpt__Socket, CKPT__SOCKET__INIT);
	_cleanup_close_ int plain = -EBADF;

	if (!m)
		return collect_oom(c);
	m->family = l->sock->family;
	m->type = l->sock->type;
	m->protocol = l->sock->protocol;
	plain = socket(m->family, m->type | SOCK_CLOEXEC, m->protocol);
	if (collect_options(m, l->fd, plain) < 0) {
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
	uint8_t value[VALUE_MAX];
	int n;

	if (e->value.len > sizeof(value))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify", "%s of %zu bytes",
			row->text, e->value.len);
	memcpy(value, e->value.data, e->value.len);
	if (row->halved && e->value.len == sizeof(n)) {
		memcpy(&n, value, sizeof(n));
		n /= 2;
		memcpy(value, &n, sizeof(n));
	}
	if (setsockopt(fd, row->level, row->set_name ? row->set_name : row->name, value,
		    (socklen_t)e->value.len) < 0 &&
		(!row->set_name ||
			setsockopt(fd, row->level, row->name, value, (socklen_t)e->value.len) < 0))
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt", NULL, "%s of a socket",
			row->text);
	return 0;
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
		if (row->when == when)
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
