/*
 * tcp_backlog.c - connections that nobody has accepted yet, at a dump: see kernel/tcp_backlog.h.
 *
 * They are taken out of the sockets that listen, read, and put in again, so nothing has to be put back
 * should the dump fail. For that moment all packets of these ports are locked. What can't be taken out with
 * good reason to believe that it gets in again stays where it is: the dump waits for it to be accepted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/sock_diag.h"
#include "kernel/sock_users.h"
#include "kernel/tcp_backlog.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_key.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

struct taking {
	struct collect_tree *t;
	struct tcp_backlog *v; /* one for each socket that is taken from */
	struct tcp_held **of;  /* of the same place */
	size_t n;
	struct tcp_listener *listeners; /* all of them */
	int inject4, inject6;
	int trial4, trial6; /* sockets to try it with; -EBADF: not needed */
};

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? 0 : value;
}

static bool link_local(const struct Ckpt__TcpEnd *e)
{
	return e && e->scope;
}

/* Of packets that come from the loopback device those which it does not get, and those that it marks. */
static bool can_take(const struct collect_tree *t, const struct tcp_held *h)
{
	const Ckpt__Socket *s = model_get(t->model, &res_socket.type, h->id);
	const Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->id);

	return s && m && s->protocol == IPPROTO_TCP && !s->filter.len && !s->program &&
	       !link_local(m->local) && !option(h->fd, SOL_SOCKET, SO_BINDTOIFINDEX) &&
	       !option(h->fd, IPPROTO_IP, IP_TRANSPARENT);
}

/* Who goes on has use for what its own clients are connected to, so that both ends are in the image. */
static bool wanted(const struct collect_tree *t, const struct tcp_held *listener)
{
	const Ckpt__Tcp *l = model_get(t->model, &res_tcp.type, listener->id);
	const struct model_rec *rec;
	size_t pos = 0;

	while (!t->tcp->dies && (rec = model_next(t->model, &res_tcp.type, &pos))) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, rec->owner);
		const Ckpt__Tcp *m = (const void *)rec->msg;

		if (m->kind == CKPT__TCP__KIND__CONNECTED && m->peer->port == l->local->port &&
			!tcp_inside(&t->tcp->lock, s->family, m))
			return true;
	}
	return t->tcp->dies;
}

/* Somebody else may accept from it as well, at any moment. */
static bool shared_outside(const struct collect_tree *t, int fd)
{
	struct sock_user user = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return true;
	user.ino = st.st_ino;
	return tcp_users_outside(t, &user, 1) < 0 || user.pid;
}

/* What is accepted would keep the mark by which our segments pass locks. */
static bool marks_stay(void)
{
	_cleanup_free_ char *text = NULL;

	return file_read_at(AT_FDCWD, "/proc/sys/net/ipv4/tcp_fwmark_accept", &text, NULL) == 0 &&
	       text[0] == '1';
}

/* Of a port that several share the kernel chooses one; it may be one that we do not have. */
static bool shared_port_outside(struct collect_tree *t, const struct tcp_held *listener)
{
	const Ckpt__Tcp *l = model_get(t->model, &res_tcp.type, listener->id);
	const struct tcp_hold *h = t->tcp;
	size_t ours = 0, all = 0;

	if (!option(listener->fd, SOL_SOCKET, SO_REUSEPORT))
		return false;
	socket_diag_row(t, AF_INET, IPPROTO_TCP, 0);
	socket_diag_row(t, AF_INET6, IPPROTO_TCP, 0);
	for (size_t i = 0; i < h->n_listeners; i++) {
		const Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->listeners[i].id);

		ours += m->local->port == l->local->port;
	}
	for (size_t i = 0; t->diag && i < t->diag->n; i++) {
		const struct inet_diag_msg *d = t->diag->rows[i].msg;

		all += t->diag->rows[i].protocol == IPPROTO_TCP &&
		       d->idiag_state == TCP_IS_LISTEN &&
		       ntohs(d->id.idiag_sport) == l->local->port;
	}
	return all > ours;
}

static void choose(struct taking *g)
{
	struct tcp_hold *h = g->t->tcp;

	for (size_t i = 0; i < h->n_listeners; i++)
		g->listeners[i].fd = h->listeners[i].fd;
	for (size_t i = 0; i < h->n_listeners; i++) {
		struct tcp_held *l = &h->listeners[i];
		const Ckpt__Tcp *m = model_get(g->t->model, &res_tcp.type, l->id);
		int n = tcp_backlog_count(l->fd);
		struct tcp_backlog *b = &g->v[g->n];
		struct tcp_key *keys = NULL;

		if (n <= 0 || !can_take(g->t, l) || !wanted(g->t, l) ||
			shared_port_outside(g->t, l) || shared_outside(g->t, l->fd) ||
			tcp_keys_get(m, &keys) < 0)
			continue;
		*b = (struct tcp_backlog){.own = &g->listeners[i],
			.group = &g->listeners[i],
			.n_group = 1,
			.keys = keys,
			.n_keys = m->n_keys,
			.n = (size_t)n,
			.v = calloc((size_t)n, sizeof(*b->v))};
		if (option(l->fd, SOL_SOCKET, SO_REUSEPORT)) {
			b->group = g->listeners;
			b->n_group = h->n_listeners;
		}
		g->of[g->n] = l;
		g->n += b->v != NULL;
		if (!b->v)
			free(keys);
	}
}

static int lock_port(struct tcp_lock *l, int family, const Ckpt__Tcp *m)
{
	int r = tcp_lock_add(l, family, m);

	if (r == 0)
		l->v[l->n - 1].whole = true;
	return r;
}

/* A socket to try it with, of a family of packets. */
static int open_trial(struct taking *g, int family, int *ret)
{
	Ckpt__Tcp m = CKPT__TCP__INIT;
	struct sockaddr_storage at;
	socklen_t len;
	int r;

	if (*ret >= 0)
		return 0;
	*ret = tcp_loopback_listen(family, &at, &len);
	if (*ret < 0)
		return *ret;
	m.kind = CKPT__TCP__KIND__LISTENING;
	r = tcp_end_set(&at, &m.local);
	if (r == 0)
		r = lock_port(&g->t->tcp->ports, family, &m);
	if (m.local)
		protobuf_c_message_free_unpacked(&m.local->base, NULL);
	return r;
}

/* A socket of IPv6 may have connections of both kinds. */
static int lock_all(struct taking *g)
{
	struct tcp_lock *ports = &g->t->tcp->ports;
	int r = 0;

	for (size_t i = 0; i < g->n && r == 0; i++) {
		const Ckpt__Socket *s = model_get(g->t->model, &res_socket.type, g->of[i]->id);
		const Ckpt__Tcp *m = model_get(g->t->model, &res_tcp.type, g->of[i]->id);

		r = lock_port(ports, s->family, m);
		if (r == 0)
			r = open_trial(g, AF_INET, &g->trial4);
		if (r == 0 && s->family == AF_INET6)
			r = open_trial(g, AF_INET6, &g->trial6);
	}
	return r < 0 ? r : tcp_lock_try(ports, "-ports");
}

static bool works(const struct taking *g)
{
	return tcp_backlog_works(g->inject4, g->inject6, g->trial4) &&
	       (g->trial6 < 0 || tcp_backlog_works(g->inject4, g->inject6, g->trial6));
}

/* ---- into records ---- */

static Ckpt__Tcp *record_of(const struct tcp_waiting *w)
{
	Ckpt__Tcp *m = msg_new(Ckpt__Tcp, CKPT__TCP__INIT);
	Ckpt__TcpState *s = msg_new(Ckpt__TcpState, CKPT__TCP_STATE__INIT);

	if (!m || !s) {
		free(m);
		free(s);
		return NULL;
	}
	m->kind = CKPT__TCP__KIND__CONNECTED;
	m->state = s;
	s->scaled = w->scaled;
	s->sack = w->sack;
	s->timestamps = w->timestamps;
	s->send_scale = w->send_scale;
	s->recv_scale = w->recv_scale;
	if (tcp_end_set(&w->local, &m->local) < 0 || tcp_end_set(&w->peer, &m->peer) < 0 ||
		tcp_state_keep(&w->state, s) < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return NULL;
	}
	return m;
}

static int keep(struct taking *g, size_t i)
{
	Ckpt__Tcp *m = model_get(g->t->model, &res_tcp.type, g->of[i]->id);
	const struct tcp_backlog *b = &g->v[i];

	g->of[i]->taken = b->taken;
	m->waiting = calloc(b->taken + 1, sizeof(Ckpt__Tcp *));
	for (size_t k = 0; m->waiting && k < b->taken; k++) {
		m->waiting[k] = record_of(&b->v[k]);
		if (!m->waiting[k])
			return -ENOMEM;
		m->n_waiting++;
	}
	if (b->lost)
		op_warn(g->t->op,
			"TCP port %u: %zu of the connections that nobody has accepted could not be kept and are reset: %s",
			m->local->port, b->lost, strerror(-b->err));
	return m->waiting ? 0 : -ENOMEM;
}

static int take_all(struct taking *g)
{
	int r = tcp_backlog_read(g->v, g->n, g->inject4, g->inject6);

	for (size_t i = 0; i < g->n && r == 0; i++)
		r = keep(g, i);
	return r < 0 ? op_fail(g->t->op, CKPT_E_SPACE, -r, NULL, NULL,
			       "connections that nobody has accepted")
		     : 0;
}

static int take(struct taking *g)
{
	int r = 0;

	if (!g->t->tcp->untakable && !marks_stay())
		choose(g);
	if (!g->n)
		return 0;
	g->inject4 = tcp_inject_open(AF_INET);
	g->inject6 = tcp_inject_open(AF_INET6);
	g->t->tcp->untakable = lock_all(g) < 0 || !works(g);
	if (!g->t->tcp->untakable)
		r = take_all(g);
	else
		op_debug(g->t->op, "connections can't be taken out of a socket that listens here");
	for (size_t i = 0; i < g->n; i++) {
		tcp_backlog_done(&g->v[i]);
		free(g->v[i].v);
		free((void *)g->v[i].keys);
	}
	fd_close(g->inject4);
	fd_close(g->inject6);
	fd_close(g->trial4);
	fd_close(g->trial6);
	return r;
}

int tcp_backlog_collect(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	_cleanup_free_ struct tcp_backlog *v = NULL;
	_cleanup_free_ struct tcp_held **of = NULL;
	_cleanup_free_ struct tcp_listener *listeners = NULL;
	struct taking g = {
		.t = t, .inject4 = -EBADF, .inject6 = -EBADF, .trial4 = -EBADF, .trial6 = -EBADF};

	g.v = v = calloc(h->n_listeners, sizeof(*v));
	g.of = of = calloc(h->n_listeners, sizeof(struct tcp_held *));
	g.listeners = listeners = calloc(h->n_listeners, sizeof(*listeners));
	return v && of && listeners ? take(&g)
				    : op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "sockets");
}
