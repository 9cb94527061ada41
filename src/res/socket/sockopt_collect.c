/*
 * sockopt_collect.c - reading the options of a socket at a dump.
 *
 * There is no call that reads more than one option. So what can be known of a kind of socket is found
 * out once: which options a new one has, by this kernel, and what they are; and of a socket, what makes others
 * mean nothing. A system call of less than a quarter of a microsecond remains for each.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "proto/socket.pb-c.h"
#include "res/socket/sockopt.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* An option that sockets of a kind have, and its value in a new one. */
struct usual {
	const struct sockopt *row;
	bool known;
	socklen_t len;
	uint8_t value[SOCKOPT_VALUE_MAX];
};

struct sockopt_kind {
	struct sockopt_kind *next;
	int family, type, protocol;
	size_t n, cap;
	struct usual *v;
};

static bool missing(int err)
{
	return err == ENOPROTOOPT || err == EOPNOTSUPP;
}

static int add_usual(struct sockopt_kind *k, int fd, const struct sockopt *row)
{
	struct usual u = {.row = row, .len = sizeof(u.value)};

	if (fd >= 0) {
		u.known = getsockopt(fd, row->level, row->name, u.value, &u.len) == 0;
		if (!u.known && missing(errno))
			return 0;
	}
	if (vec_reserve(&k->v, &k->cap, k->n + 1, sizeof(*k->v)) < 0)
		return -ENOMEM;
	k->v[k->n++] = u;
	return 0;
}

/* NULL: no memory. Where no such socket can be made here, every option is taken for unusual. */
static struct sockopt_kind *new_kind(const Ckpt__Socket *m)
{
	_cleanup_close_ int fd = socket(m->family, m->type | SOCK_CLOEXEC, m->protocol);
	struct sockopt_kind *k = calloc(1, sizeof(*k));
	const struct sockopt *row;

	if (!k)
		return NULL;
	k->family = m->family;
	k->type = m->type;
	k->protocol = m->protocol;
	for (size_t i = 0; (row = sockopt_at(i)); i++) {
		if (sockopt_applies(row, m->family, m->type) && add_usual(k, fd, row) < 0) {
			free(k->v);
			free(k);
			return NULL;
		}
	}
	return k;
}

static const struct sockopt_kind *kind_of(struct collect_tree *t, const Ckpt__Socket *m)
{
	struct sockopt_kind *k;

	for (k = t->sockopts; k; k = k->next)
		if (k->family == m->family && k->type == m->type && k->protocol == m->protocol)
			return k;
	k = new_kind(m);
	if (k) {
		k->next = t->sockopts;
		t->sockopts = k;
	}
	return k;
}

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

static bool saved(const Ckpt__Socket *m, int level, int name)
{
	for (size_t i = 0; i < m->n_options; i++)
		if (m->options[i]->level == level && m->options[i]->name == name)
			return true;
	return false;
}

static bool is_usual(const struct usual *u, const void *value, socklen_t len)
{
	return u->known && len == u->len && memcmp(value, u->value, len) == 0;
}

/* What of a socket decides about several options. */
struct asked {
	int fd;
	bool tcp;
	enum { UNKNOWN, NO, YES } connected, locks_told;
	int locks;  /* of SO_BUF_LOCK */
	bool sizes; /* one is saved */
};

/* A connected one of IP, or one of TCP that was and still shows what the connection left. */
static bool is_connected(struct asked *q)
{
	struct pollfd p = {.fd = q->fd, .events = POLLRDHUP};
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	bool yes;

	if (q->connected != UNKNOWN)
		return q->connected == YES;
	if (getpeername(q->fd, (struct sockaddr *)&peer, &len) == 0)
		yes = peer.ss_family == AF_INET || peer.ss_family == AF_INET6;
	else
		yes = poll(&p, 1, 0) > 0 && p.revents & POLLRDHUP;
	q->connected = yes ? YES : NO;
	return yes;
}

/*
 * TCP lets a buffer grow by itself until a program sets its size; others have the size that is set. Before
 * Linux 5.15 the kernel does not tell which, and every unusual size is taken for set.
 */
static bool grows(struct asked *q, int lock)
{
	socklen_t len = sizeof(q->locks);

	if (!q->tcp)
		return false;
	if (q->locks_told == UNKNOWN)
		q->locks_told =
			getsockopt(q->fd, SOL_SOCKET, SO_BUF_LOCK, &q->locks, &len) < 0 ? NO : YES;
	return q->locks_told == YES && !(q->locks & lock);
}

/* Whether an option need not be asked for. */
static bool passed_over(struct asked *q, const Ckpt__Socket *m, const struct sockopt *row)
{
	if (row->with && !saved(m, row->level, row->with))
		return true;
	if (row->locks)
		return grows(q, row->locks);
	if (row->after_sizes && q->locks_told == YES && !q->locks)
		return !q->sizes;
	/* TCP has many of these, any other socket one that is mostly as usual */
	return row->unconnected && q->tcp && is_connected(q);
}

int sockopt_collect(struct collect_tree *t, int fd, Ckpt__Socket *m)
{
	const struct sockopt_kind *k = kind_of(t, m);
	struct asked q = {.fd = fd,
		.tcp = m->type == SOCK_STREAM &&
		       (m->protocol == IPPROTO_TCP || m->protocol == IPPROTO_MPTCP)};
	size_t cap = 0;
	int r = k ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < k->n; i++) {
		const struct sockopt *row = k->v[i].row;
		uint8_t value[SOCKOPT_VALUE_MAX];
		socklen_t len = sizeof(value);

		if (passed_over(&q, m, row) ||
			getsockopt(fd, row->level, row->name, value, &len) < 0)
			continue;
		if (is_usual(&k->v[i], value, len) ? !(row->after_sizes && q.sizes)
						   : (row->unconnected && is_connected(&q)) ||
							     (row->own && !row->own(fd, row)))
			continue;
		r = add_option(m, &cap, row, value, len);
		q.sizes |= row->halved;
	}
	return r;
}

void sockopt_done(struct collect_tree *t)
{
	while (t->sockopts) {
		struct sockopt_kind *k = t->sockopts;

		t->sockopts = k->next;
		free(k->v);
		free(k);
	}
}
