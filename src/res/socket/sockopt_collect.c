/*
 * sockopt_collect.c - reading the options of a socket at a dump.
 *
 * There is no call that reads more than one option. So what can be known of a kind of socket is found
 * out once: which options a new one has, by this kernel, and what they are; a system call of less than a
 * quarter of a microsecond remains for each.
 */
#include <errno.h>
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

int sockopt_collect(struct collect_tree *t, int fd, Ckpt__Socket *m)
{
	const struct sockopt_kind *k = kind_of(t, m);
	bool sizes = false;
	size_t cap = 0;
	int r = k ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < k->n; i++) {
		const struct sockopt *row = k->v[i].row;
		uint8_t value[SOCKOPT_VALUE_MAX];
		socklen_t len = sizeof(value);

		if ((row->with && !saved(m, row->level, row->with)) ||
			getsockopt(fd, row->level, row->name, value, &len) < 0)
			continue;
		if (is_usual(&k->v[i], value, len) ? !(row->after_sizes && sizes)
						   : row->own && !row->own(fd, row))
			continue;
		r = add_option(m, &cap, row, value, len);
		sizes |= row->halved;
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
