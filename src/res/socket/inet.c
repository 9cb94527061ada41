/*
 * inet.c - sockets of IPv4 and IPv6 that are no connections: UDP, UDP-Lite, ping, raw.
 *
 * Addresses come from getsockname(2) and getpeername(2). The kernel does not tell whether the program has
 * bound a socket or a connect(2) has; it is bound again, so an address outlives a later disconnect. A raw
 * socket that is connected has no peer's port, and getpeername(2) fails: there /proc/net/raw tells.
 * Unread data of UDP comes back (inet_queue.c); that of ping and raw sockets, which every such socket of the
 * machine gets a copy of, does not. What is held back under UDP_CORK or for MSG_MORE does (inet_held.c), and so do
 * errors (inet_errors.c).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/sock_diag.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/seen.h"
#include "res/socket/inet_parts.h"
#include "util/cleanup.h"

#include <linux/inet_diag.h>

#define SHUT_READ  1
#define SHUT_WRITE 2

#define SEND_SHUTDOWN 2 /* of INET_DIAG_SHUTDOWN */

static bool match(const struct file_look *l)
{
	const struct sock_look *s = l->sock;

	if (!s || (s->family != AF_INET && s->family != AF_INET6))
		return false;
	return s->type == SOCK_RAW ||
	       (s->type == SOCK_DGRAM &&
		       (s->protocol == IPPROTO_UDP || s->protocol == IPPROTO_UDPLITE ||
			       s->protocol == IPPROTO_ICMP || s->protocol == IPPROTO_ICMPV6));
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	(void)procfd;
	return socket_verdict(l);
}

static bool is_udp(int type, int protocol)
{
	return type == SOCK_DGRAM && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

/* ---- dump ---- */

/* "0: 0100007F:0001 0200007F:0000 01 ...": words of the machine's own order. */
static bool read_words(const char *hex, size_t n, void *ret)
{
	uint32_t *words = ret;

	for (size_t i = 0; i < n; i++)
		if (sscanf(hex + 8 * i, "%8x", &words[i]) != 1)
			return false;
	return true;
}

/* Of a connected raw socket; false: it is not. */
static bool raw_peer(int family, ino_t ino, union inet_addr *ret)
{
	_cleanup_fclose_ FILE *f =
		fopen(family == AF_INET ? "/proc/net/raw" : "/proc/net/raw6", "re");
	char line[512], peer[64];
	unsigned state, port;
	unsigned long long at;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %40[0-9A-F]:%x %x %*s %*s %*s %*s %*s %llu", peer, &port,
			    &state, &at) != 4 ||
			at != ino || state != 1)
			continue;
		memset(ret, 0, sizeof(*ret));
		ret->sa.sa_family = family;
		ret->in.sin_port = htons(port);
		if (family == AF_INET)
			return read_words(peer, 1, &ret->in.sin_addr);
		return strlen(peer) == 32 && read_words(peer, 4, &ret->in6.sin6_addr);
	}
	return false;
}

static bool is_bound(const union inet_addr *a, const struct sock_look *s)
{
	static const uint8_t none[16];

	if (a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr != 0
				       : memcmp(&a->in6.sin6_addr, none, sizeof(none)) != 0)
		return true;
	/* of a raw socket it is the protocol */
	return s->type != SOCK_RAW && a->in.sin_port != 0;
}

static int read_addresses(const struct file_look *l, Ckpt__Inet *m)
{
	union inet_addr a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(l->fd, &a.sa, &len) < 0)
		return -errno;
	if (is_bound(&a, l->sock))
		m->local = msg_bytes(&a, len);
	len = sizeof(a);
	if (getpeername(l->fd, &a.sa, &len) == 0) {
		m->peer = msg_bytes(&a, len);
	} else if (l->sock->type == SOCK_RAW && raw_peer(l->sock->family, l->st.st_ino, &a)) {
		len = l->sock->family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
		m->peer = msg_bytes(&a, len);
	}
	return 0;
}

/*
 * Whether it is shut for reading, poll(2) says; for writing alone, only sock_diag(7), where this kernel has it.
 */
static uint32_t shut_of(struct collect *c, const struct file_look *l, short events)
{
	const struct sock_diag_row *row = NULL;
	const uint8_t *how;

	if (events & POLLHUP)
		return SHUT_READ | SHUT_WRITE;
	if (events & POLLRDHUP)
		return SHUT_READ;
	if (is_udp(l->sock->type, l->sock->protocol))
		row = socket_diag_row(c->tree, l->sock->family, l->sock->protocol, l->st.st_ino);
	how = row ? sock_diag_attr(row, INET_DIAG_SHUTDOWN, NULL) : NULL;
	return how && *how & SEND_SHUTDOWN ? SHUT_WRITE : 0;
}

/* Return: 1 there is nothing left to do; 0; negative after op_fail() */
static int read_behind_error(struct collect *c, const struct file_look *l, Ckpt__Inet *m)
{
	int err, r = inet_errors_unread(c, l, m);
	socklen_t len = sizeof(err);

	if (r == -ENOMEM)
		return collect_oom(c);
	if (r == 0)
		return 1;
	/* To peek takes a pending error away, which a program that goes on is to see. */
	if (c->tr->dies) {
		getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		return 0;
	}
	op_warn(c->op,
		"pid %d (%s): fd %d: what it has not read yet is not saved, as there is an error before it",
		c->pid, c->tr->comm, l->target_fd);
	return 1;
}

/* @events: of poll(2) */
static int read_queue(struct collect *c, const struct file_look *l, short events, Ckpt__Inet *m)
{
	bool pending = false;
	int r = events & (POLLERR | POLLPRI) ? inet_errors_collect(c, l, m, &pending) : 0;

	if (r < 0 || !(events & POLLIN))
		return r;
	if (!is_udp(l->sock->type, l->sock->protocol)) {
		op_warn(c->op, "pid %d (%s): fd %d: unread packets of a %s socket are not saved",
			c->pid, c->tr->comm, l->target_fd,
			l->sock->type == SOCK_RAW ? "raw" : "ping");
		return 0;
	}
	r = pending ? read_behind_error(c, l, m) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	r = inet_queue_collect(l->fd, m);
	return r < 0 ? op_fail(c->op, CKPT_E_SYSTEM, -r, "recvmsg", NULL,
			       "pid %d (%s): fd %d: unread datagrams", c->pid, c->tr->comm,
			       l->target_fd)
		     : 0;
}

static int collect_parts(struct collect *c, const struct file_look *l, Ckpt__Inet *m)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN | POLLPRI | POLLRDHUP};
	int r = read_addresses(l, m);

	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "getsockname", NULL, "pid %d (%s): fd %d",
			c->pid, c->tr->comm, l->target_fd);
	if (inet_groups_collect(c->tree, l->fd, l->sock->family, m) < 0)
		return collect_oom(c);
	if (poll(&p, 1, 0) < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, errno, "poll", NULL, "pid %d (%s): fd %d",
			c->pid, c->tr->comm, l->target_fd);
	m->shut = shut_of(c, l, p.revents);
	r = inet_held_collect(c, l, m);
	return r < 0 ? r : read_queue(c, l, p.revents, m);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Inet *m = msg_new(Ckpt__Inet, CKPT__INET__INIT);
	int r = m ? collect_parts(c, l, m) : collect_oom(c);

	if (r == 0)
		r = socket_collect(c, id, l);
	if (r == 0)
		return collect_add_take(c, &res_inet.type, id, m);
	if (m)
		protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* ---- restore ---- */

static int bad_address(struct open_ctx *o, uint64_t id)
{
	return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
		"file %llu: no address of a socket", (unsigned long long)id);
}

static int bind_again(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Inet *m)
{
	union inet_addr a;
	socklen_t len = inet_addr_read(&m->local, &a);

	if (!m->local.len)
		return 0;
	if (!len)
		return bad_address(o, id);
	if (bind(fd, &a.sa, len) == 0)
		return 0;
	return op_fail(o->op, CKPT_E_SYSTEM, errno, "bind",
		errno == EADDRINUSE      ? "another program has that address now"
		: errno == EADDRNOTAVAIL ? "the machine needs that address"
					 : NULL,
		"file %llu, %s", (unsigned long long)id, socket_addr_text(&a.sa).s);
}

static int connect_again(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Inet *m)
{
	union inet_addr a;
	socklen_t len = inet_addr_read(&m->peer, &a);

	if (!m->peer.len)
		return 0;
	if (!len)
		return bad_address(o, id);
	if (connect(fd, &a.sa, len) == 0)
		return 0;
	return op_fail(o->op, CKPT_E_SYSTEM, errno, "connect",
		errno == ENETUNREACH ? "the machine needs a route there" : NULL, "file %llu, %s",
		(unsigned long long)id, socket_addr_text(&a.sa).s);
}

/* shutdown(2) of a socket that is not connected fails, and shuts it. */
static void shut(int fd, uint32_t how)
{
	if (how & SHUT_READ)
		shutdown(fd, SHUT_RD);
	if (how & SHUT_WRITE)
		shutdown(fd, SHUT_WR);
}

static int make(struct open_ctx *o, uint64_t id, int fd, const struct model_rec *rec)
{
	const Ckpt__Inet *m = (const void *)rec->msg;
	const Ckpt__Socket *s = socket_record(o, id);
	int r = bind_again(o, id, fd, m);

	if (r == 0)
		r = inet_groups_join(o, fd, m);
	if (r == 0 && is_udp(s->type, s->protocol))
		r = inet_queue_put(o, fd, s, m);
	if (r == 0)
		r = connect_again(o, id, fd, m);
	if (r == 0)
		r = socket_options(o, id, fd, SOCKOPT_BOUND);
	if (r == 0)
		r = socket_options(o, id, fd, SOCKOPT_LAST);
	return r < 0 ? r : socket_flags(o, id, fd);
}

static int open_inet(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	(void)file_record;
	return socket_open(o, id, rec, make);
}

/* A route leads to who has joined a group when it is found; and what is shut sends nothing. */
static int opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__Inet *m = (const void *)rec->msg;
	const Ckpt__Socket *s = socket_record(o, rec->owner);
	int r = s ? inet_held_put(o, rec->owner, fd, m) : -EBADMSG;

	if (r == 0)
		r = inet_errors_put(o, fd, s, m);
	if (r == 0)
		shut(fd, m->shut);
	return r;
}

static const struct file_ops ops = {.match = match,
	.verdict = verdict,
	.collect = collect,
	.open = open_inet,
	.opened_all = opened_all};

const struct res res_inet = {
	.type = {"inet", SCOPE_FILE, &ckpt__inet__descriptor, NULL},
	.file = &ops,
};
