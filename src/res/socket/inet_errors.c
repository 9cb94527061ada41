/*
 * inet_errors.c - the pending error of a socket, and its queue of errors (IP_RECVERR).
 *
 * Both are read where they lie (kernel/sock_queue.h), so a program that goes on has them still. They come back by the
 * message of ICMP arriving again that had told of them: so offender, numbers and quoted data are as they were. Each
 * leaves its errno pending; what the program had been told of already is taken away again, and that of the first,
 * which is pending when one before it has been read, comes by such a one. A pending error without a queue is made
 * by a message that leads to it, while the socket has IP_RECVERR; without, what has been queued goes.
 *
 * Lost, and told: time stamps of what was sent, notifications of MSG_ZEROCOPY, what the machine has found itself
 * (EMSGSIZE); and all errors of raw sockets, as every such socket of the machine would get them.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/icmp_packet.h"
#include "kernel/sock_queue.h"
#include "kernel/udp_packet.h"
#include "res/file/seen.h"
#include "res/socket/inet_parts.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#define PACKET_MAX 65535

/* How long all that was sent to ourselves may take. */
#define ARRIVE_STEP_US 100
#define ARRIVE_STEPS   2000

/* ---- dump ---- */

void inet_errors_done(struct collect_tree *t)
{
	sock_queue_close(t->errors);
	t->errors = NULL;
}

static int read_it(struct collect *c, const struct file_look *l, enum sock_queue_which which,
	struct sock_queue *ret)
{
	struct kmem *k;
	int r = 0;

	if (!c->tree->errors) {
		r = socket_kmem(c->tree, &k);
		if (r == 0)
			r = sock_queue_open(k, &c->tree->errors);
	}
	return r < 0 ? r : sock_queue_read(c->tree->errors, l->fd, l->st.st_ino, which, ret);
}

/* What a queue may have that does not come back. */
struct lost {
	unsigned stamps, zerocopy, others, icmp;
};

static int add_error(Ckpt__Inet *m, const struct sock_packet *p)
{
	Ckpt__InetError *e = msg_new(Ckpt__InetError, CKPT__INET_ERROR__INIT);

	if (!e)
		return -ENOMEM;
	m->errors[m->n_errors++] = e;
	e->error = p->ee.ee_errno;
	e->packet = msg_bytes(p->data, p->len);
	return e->packet.data ? 0 : -ENOMEM;
}

static int add_errors(Ckpt__Inet *m, const struct sock_queue *q, bool raw, struct lost *lost)
{
	int r = 0;

	m->errors = q->n ? calloc(q->n, sizeof(*m->errors)) : NULL;
	if (q->n && !m->errors)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < q->n; i++) {
		const struct sock_packet *p = &q->packets[i];

		if (p->ee.ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
			lost->stamps++;
		else if (p->ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY)
			lost->zerocopy++;
		else if (!p->data)
			lost->others++;
		else if (raw || icmp_packet_family(p->data, p->len) < 0)
			lost->icmp++;
		else
			r = add_error(m, p);
	}
	return r;
}

static void tell_one(struct collect *c, const struct file_look *l, unsigned n, const char *what)
{
	if (n)
		op_warn(c->op, "pid %d (%s): fd %d: not saved, and not read yet: %s (%u)", c->pid,
			c->tr->comm, l->target_fd, what, n);
}

static void tell(struct collect *c, const struct file_look *l, const struct lost *lost)
{
	tell_one(c, l, lost->stamps, "time stamps of what it sent");
	tell_one(c, l, lost->zerocopy, "notifications of MSG_ZEROCOPY");
	tell_one(c, l, lost->others, "errors that the machine has found itself");
	tell_one(c, l, lost->icmp,
		l->sock->type == SOCK_RAW ? "errors of a raw socket"
					  : "errors by messages of an unusual kind");
}

int inet_errors_collect(
	struct collect *c, const struct file_look *l, Ckpt__Inet *m, bool *ret_pending)
{
	bool raw = l->sock->type == SOCK_RAW;
	struct sock_queue q = {.packets = NULL};
	struct lost lost = {0};
	int r = read_it(c, l, SOCK_QUEUE_ERRORS, &q);

	*ret_pending = true;
	if (r == 0) {
		*ret_pending = q.error != 0;
		r = add_errors(m, &q, raw, &lost);
		m->pending_errno = raw ? 0 : (uint32_t)q.error;
		lost.icmp += raw && q.error && !q.n;
		sock_queue_done(&q);
		tell(c, l, &lost);
	} else if (r != -ENOMEM) {
		op_warn(c->op,
			"pid %d (%s): fd %d: an error that the program has not read yet, or a "
			"time stamp of what it sent, is not saved",
			c->pid, c->tr->comm, l->target_fd);
		return 0;
	}
	return r < 0 ? collect_oom(c) : 0;
}

/* ---- datagrams behind an error ---- */

/* An address and a port of the packet, in the family of the socket. */
static ProtobufCBinaryData address_of(int family, const uint8_t *ip, size_t len, uint16_t port)
{
	union inet_addr a = {.sa.sa_family = (sa_family_t)family};

	if (family == AF_INET) {
		a.in.sin_port = port;
		memcpy(&a.in.sin_addr, ip, sizeof(a.in.sin_addr));
		return msg_bytes(&a, sizeof(a.in));
	}
	a.in6.sin6_port = port;
	if (len == 4)
		memset(&a.in6.sin6_addr.s6_addr[10], 0xff, 2);
	memcpy(&a.in6.sin6_addr.s6_addr[16 - len], ip, len);
	return msg_bytes(&a, sizeof(a.in6));
}

/* Return: 0; -EAGAIN it is no datagram of that family; -ENOMEM */
static int read_headers(int family, const struct sock_packet *p, Ckpt__InetDatagram *ret)
{
	const uint8_t *d = p->data;
	struct udphdr udp;
	size_t at = offsetof(struct iphdr, saddr), len = 4;

	if (p->payload < sizeof(struct iphdr) + sizeof(udp) ||
		p->transport + sizeof(udp) > p->payload)
		return -EAGAIN;
	memcpy(&udp, d + p->transport, sizeof(udp));
	if (d[0] >> 4 == 6) {
		at = offsetof(struct ip6_hdr, ip6_src);
		len = 16;
		ret->ttl = d[offsetof(struct ip6_hdr, ip6_hlim)];
		ret->tos = (uint32_t)(d[0] << 4 | d[1] >> 4) & 0xff;
	} else {
		ret->ttl = d[offsetof(struct iphdr, ttl)];
		ret->tos = d[offsetof(struct iphdr, tos)];
	}
	if ((d[0] >> 4 != 4 && d[0] >> 4 != 6) || (len == 16 && family == AF_INET) ||
		at + 2 * len > p->transport)
		return -EAGAIN;
	ret->from = address_of(family, d + at, len, udp.source);
	ret->to = msg_bytes(d + at + len, len);
	return ret->from.data && ret->to.data ? 0 : -ENOMEM;
}

static int add_unread(Ckpt__Inet *m, size_t *cap, int family, const struct sock_packet *p)
{
	Ckpt__InetDatagram like = CKPT__INET_DATAGRAM__INIT;
	size_t at = p->payload, segment = p->segment ? p->segment : PACKET_MAX;
	int r = read_headers(family, p, &like);

	while (r == 0 && (at < p->len || at == p->payload)) {
		size_t n = MIN(segment, p->len - at);

		r = inet_queue_add(m, cap, &like, p->data + at, n);
		if (!n)
			break;
		at += n;
	}
	free(like.from.data);
	free(like.to.data);
	return r;
}

/* They are not half there: another way may follow. */
static void forget(Ckpt__Inet *m)
{
	for (size_t i = 0; i < m->n_queue; i++)
		protobuf_c_message_free_unpacked(&m->queue[i]->base, NULL);
	free(m->queue);
	m->queue = NULL;
	m->n_queue = 0;
}

int inet_errors_unread(struct collect *c, const struct file_look *l, Ckpt__Inet *m)
{
	struct sock_queue q = {.packets = NULL};
	size_t cap = 0;
	int r = read_it(c, l, SOCK_QUEUE_UNREAD, &q);

	for (size_t i = 0; r == 0 && i < q.n; i++)
		r = add_unread(m, &cap, l->sock->family, &q.packets[i]);
	sock_queue_done(&q);
	if (r < 0)
		forget(m);
	return r;
}

/* ---- restore ---- */

/* What all errors of a socket have in common. */
struct putting {
	int fd, raw4, raw6;
	int patience; /* steps that may still be waited */
	bool denied;  /* for want of CAP_NET_RAW */
};

/* Return: the pending error, which is pending no more; 0: there is none */
static int take(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? err : 0;
}

/* Sent and arrived: so they come in order, whatever CPU carries them. */
static bool send_one(struct putting *p, uint8_t *packet, size_t len)
{
	int family = icmp_packet_family(packet, len);
	int *raw = family == AF_INET ? &p->raw4 : &p->raw6;
	uint32_t before = inet_queued(p->fd);

	if (family < 0)
		return false;
	if (*raw < 0)
		*raw = udp_packet_socket(family);
	p->denied |= *raw == -EPERM;
	if (*raw < 0 || icmp_packet_send(*raw, packet, len) < 0)
		return false;
	for (; inet_queued(p->fd) <= before; p->patience--) {
		if (p->patience <= 0)
			return false;
		usleep(ARRIVE_STEP_US);
	}
	return true;
}

/* It is queued before it is pending. */
static void take_soon(struct putting *p)
{
	for (; !take(p->fd) && p->patience > 0; p->patience--)
		usleep(ARRIVE_STEP_US);
}

static bool put_one(struct putting *p, const Ckpt__InetError *e, bool stays)
{
	if (!send_one(p, e->packet.data, e->packet.len))
		return false;
	if (!stays)
		take_soon(p);
	return true;
}

/* The first of the queue is read: then the next one's errno is pending. */
static void read_first(int fd)
{
	struct msghdr h = {.msg_name = NULL};

	(void)!recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);
}

/* Return: how many are lost, the pending one included */
static size_t put_queue(struct putting *p, const Ckpt__Inet *m)
{
	int pending = (int)m->pending_errno;
	bool by_last = pending && pending == (int)m->errors[m->n_errors - 1]->error;
	bool by_first = pending && !by_last && pending == (int)m->errors[0]->error;
	size_t lost = pending && !by_last && !by_first;

	if (by_first) {
		by_first = put_one(p, m->errors[0], false);
		lost += !by_first;
	}
	for (size_t i = 0; i < m->n_errors; i++)
		lost += !put_one(p, m->errors[i], by_last && i == m->n_errors - 1);
	if (by_first)
		read_first(p->fd);
	return lost;
}

static void be_loopback(union inet_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a->in6.sin6_addr = in6addr_loopback;
}

/* Where it is, and where it has sent to; of one without a peer, to itself. */
static bool ends(const struct putting *p, union inet_addr *local, union inet_addr *peer)
{
	socklen_t len = sizeof(*local);

	memset(local, 0, sizeof(*local));
	if (getsockname(p->fd, &local->sa, &len) < 0)
		return false;
	inet_addr_plain(local);
	if (inet_addr_any(local))
		be_loopback(local);
	*peer = *local;
	len = sizeof(*peer);
	if (getpeername(p->fd, &peer->sa, &len) < 0)
		*peer = *local;
	inet_addr_plain(peer);
	return peer->sa.sa_family == local->sa.sa_family;
}

/* There is no queue, and there is none afterwards. */
static size_t put_pending(struct putting *p, const Ckpt__Socket *s, int error)
{
	uint8_t packet[ICMP_PACKET_MADE_MAX];
	union inet_addr local, peer;
	socklen_t len_was = sizeof(int);
	int level, name, was = 0, one = 1, zero = 0;
	size_t len;
	bool done;

	if (!ends(p, &local, &peer))
		return 1;
	level = local.sa.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	name = level == IPPROTO_IP ? IP_RECVERR : IPV6_RECVERR;
	len = icmp_packet_make(error, s->protocol, &local.sa, &peer.sa, packet);
	if (!len || getsockopt(p->fd, level, name, &was, &len_was) < 0 ||
		setsockopt(p->fd, level, name, &one, sizeof(one)) < 0)
		return 1;
	done = send_one(p, packet, len);
	setsockopt(p->fd, level, name, &zero, sizeof(zero));
	if (was)
		setsockopt(p->fd, level, name, &was, sizeof(was));
	return !done;
}

static bool shares_port(int fd, const Ckpt__Inet *m)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return !m->peer.len && getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &len) == 0 && on;
}

int inet_errors_put(struct open_ctx *o, int fd, const Ckpt__Socket *s, const Ckpt__Inet *m)
{
	struct putting p = {.fd = fd, .raw4 = -EBADF, .raw6 = -EBADF, .patience = ARRIVE_STEPS};
	size_t lost, all = m->n_errors + (m->pending_errno && !m->n_errors);

	if (!all || s->type == SOCK_RAW)
		return 0;
	/* of a group, another one might get it */
	if (shares_port(fd, m))
		lost = all;
	else if (m->n_errors)
		lost = put_queue(&p, m);
	else
		lost = put_pending(&p, s, (int)m->pending_errno);
	fd_close(p.raw4);
	fd_close(p.raw6);
	if (lost)
		op_warn(o->op, "%zu of %zu errors that a socket had not read yet are lost%s", lost,
			MAX(all, lost), p.denied ? ": to have them arrive takes CAP_NET_RAW" : "");
	return 0;
}
