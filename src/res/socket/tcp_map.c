/*
 * tcp_map.c - other local addresses for the sockets of an image (--tcp-map OLD=NEW).
 *
 * It is done to the records, before any socket is made. The address of a peer changes only with that of the
 * peer's own socket: where both ends are in the tree.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/str.h"

#define MAPPED "::ffff:" /* IPv4 on IPv6 */

struct pair {
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN]; /* as inet_ntop(3) writes them */
	int family;
};

static int family_of(const char *text, size_t len, char ret[INET6_ADDRSTRLEN])
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr a;

	if (!len || len >= sizeof(copy))
		return 0;
	memcpy(copy, text, len);
	copy[len] = 0;
	for (size_t i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		if (inet_pton(family, copy, &a) == 1)
			return inet_ntop(family, &a, ret, INET6_ADDRSTRLEN) ? family : 0;
	}
	return 0;
}

static const char *parse(const char *text, struct pair *ret)
{
	const char *eq = strchr(text, '=');
	int from = eq ? family_of(text, (size_t)(eq - text), ret->from) : 0;
	int to = eq ? family_of(eq + 1, strlen(eq + 1), ret->to) : 0;

	ret->family = from;
	if (!from || !to)
		return "is not OLD=NEW, two IP addresses";
	return from == to ? NULL : "has addresses of two kinds";
}

const char *tcp_map_wrong(const char *text)
{
	struct pair pair;

	return parse(text, &pair);
}

/* @ip: of a record. Return: whether it was changed; -ENOMEM */
static int map_ip(const struct pair *p, char **ip)
{
	const char *rest = str_startswith(*ip, MAPPED);
	bool on6 = rest && p->family == AF_INET;
	size_t len = strlen(p->to) + sizeof(MAPPED);
	char *now;

	if (!str_eq(on6 ? rest : *ip, p->from))
		return 0;
	now = malloc(len);
	if (!now)
		return -ENOMEM;
	snprintf(now, len, "%s%s", on6 ? MAPPED : "", p->to);
	free(*ip);
	*ip = now;
	return 1;
}

/* The first that fits. */
static int map_by_all(const char *const *map, char **ip)
{
	int r = 0;

	for (; *map && r == 0; map++) {
		struct pair pair;

		if (!parse(*map, &pair))
			r = map_ip(&pair, ip);
	}
	return r;
}

static int map_end(const char *const *map, Ckpt__TcpEnd *m)
{
	return m ? map_by_all(map, &m->ip) : 0;
}

/* Of a key for one peer. */
static int map_key(const char *const *map, Ckpt__TcpKey *m)
{
	return m->prefix == (strchr(m->ip, ':') ? 128 : 32) ? map_by_all(map, &m->ip) : 0;
}

/* All connections as they were, to tell which have both ends here. */
static int add_all(struct open_ctx *o, struct tcp_lock *l)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(o->model, &res_tcp.type, &pos))) {
		const Ckpt__Tcp *m = (const void *)rec->msg;
		const Ckpt__Socket *s = model_get(o->model, &res_socket.type, rec->owner);

		if (s && m->local && m->peer)
			r = tcp_lock_add(l, s->family, m);
		if (s && r == 0)
			r = tcp_lock_waiting(l, s->family, m);
	}
	tcp_lock_sort(l);
	return r == -EINVAL ? 0 : r;
}

/* Of a socket, or of a connection that nobody has accepted. */
static int map_both(const struct tcp_lock *all, const char *const *map, int family, Ckpt__Tcp *m)
{
	bool inside = tcp_inside(all, family, m);
	int r = map_end(map, m->local);

	if (r >= 0 && inside)
		r = map_end(map, m->peer);
	/* of a key for our own address it is we who have it */
	for (size_t i = 0; r >= 0 && i < m->n_keys && (inside || !m->peer); i++)
		r = map_key(map, m->keys[i]);
	return r;
}

int tcp_map(struct open_ctx *o)
{
	const char *const *map = o->req->tcp_map;
	struct tcp_lock all = {.nft = -EBADF};
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	if (!map || o->plan->tcp->mapped)
		return 0;
	o->plan->tcp->mapped = true;
	r = add_all(o, &all);
	while (r >= 0 && (rec = model_next(o->model, &res_tcp.type, &pos))) {
		const Ckpt__Socket *s = model_get(o->model, &res_socket.type, rec->owner);
		Ckpt__Tcp *m = (void *)rec->msg;

		r = map_both(&all, map, s ? s->family : AF_UNSPEC, m);
		for (size_t i = 0; r >= 0 && i < m->n_waiting; i++)
			r = map_both(&all, map, s ? s->family : AF_UNSPEC, m->waiting[i]);
	}
	tcp_lock_done(&all);
	return r < 0 ? op_fail(o->op, CKPT_E_SPACE, -r, NULL, NULL, "--tcp-map") : 0;
}
