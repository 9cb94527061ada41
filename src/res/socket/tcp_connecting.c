/*
 * tcp_connecting.c - sockets that were being connected when their process was looked at, at a dump.
 *
 * Whom it connects to, a socket does not tell before it is answered: that sock_diag(7) knows. The answer may come
 * at any time until the connections are locked: then it is connected, or has ended.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/sock_diag.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/fd.h"

static int oom(struct collect_tree *t)
{
	return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "a connection");
}

/* Return: 1 it is still being connected, to @ret; 0 it is not any more; negative after op_fail() */
static int find_peer(struct collect_tree *t, int fd, int family, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;
	const struct sock_diag *diag;
	const struct sock_diag_row *row;
	const struct inet_diag_msg *d;
	struct stat st;
	int r = socket_diag(t, family, IPPROTO_TCP, &diag);

	if (r < 0)
		return r;
	row = fstat(fd, &st) == 0 ? sock_diag_find(diag, st.st_ino) : NULL;
	d = row ? row->msg : NULL;
	if (!d || !d->id.idiag_dport)
		return 0;
	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
	if (family == AF_INET) {
		in->sin_port = d->id.idiag_dport;
		memcpy(&in->sin_addr, d->id.idiag_dst, sizeof(in->sin_addr));
	} else {
		in6->sin6_port = d->id.idiag_dport;
		memcpy(&in6->sin6_addr, d->id.idiag_dst, sizeof(in6->sin6_addr));
		in6->sin6_scope_id = IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? d->id.idiag_if : 0;
	}
	return 1;
}

/* Return: 0; negative after op_fail() */
static int look_again(struct collect_tree *t, int fd, Ckpt__Tcp *m)
{
	int r = tcp_collect_again(fd, m);

	return r == -ENOMEM ? oom(t)
	       : r < 0      ? op_fail(t->op, CKPT_E_SYSTEM, -r, "getsockopt(TCP_INFO)", NULL,
				      "a connection that was begun")
			    : 0;
}

int tcp_connecting_peers(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < h->n; i++) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, h->v[i].id);
		Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->v[i].id);
		bool connecting = r == 0 && m->kind == CKPT__TCP__KIND__CONNECTING;
		struct sockaddr_storage peer;

		if (connecting)
			r = find_peer(t, h->v[i].fd, s->family, &peer);
		if (connecting && r == 0)
			r = look_again(t, h->v[i].fd, m);
		else if (r > 0)
			r = tcp_end_set(&peer, &m->peer) < 0 ? oom(t) : 0;
		if (r == 0 && m->kind == CKPT__TCP__KIND__CONNECTING && !m->peer)
			r = op_fail(t->op, CKPT_E_SYSTEM, 0, NULL, "dump it later",
				"whom a TCP socket connects to is not known");
		if (r == 0 && !m->peer)
			fd_close(h->v[i].fd);
		else
			h->v[kept++] = h->v[i];
	}
	h->n = kept;
	return r;
}

int tcp_connecting_again(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	int r = 0;

	for (size_t i = 0; i < h->n && r == 0; i++) {
		Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->v[i].id);

		if (m->kind == CKPT__TCP__KIND__CONNECTING)
			r = look_again(t, h->v[i].fd, m);
	}
	return r;
}
