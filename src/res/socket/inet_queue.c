/*
 * inet_queue.c - datagrams that wait in the queue of a UDP socket.
 *
 * They are looked at with MSG_PEEK, which goes from one to the next while SO_PEEK_OFF is set (Linux >= 4.10
 * for UDP); it is put back at once, even if we are killed meanwhile. An empty one that has been peeked at before
 * is passed over then, so behind the first a second dump does not see it. With each comes what the program itself would be told: to which address
 * it was sent, time to live, type of service. They come back by arriving again (kernel/udp_packet.h). What is
 * lost is told: a datagram to a group or by broadcast, which others would get as well, one of a link-local
 * sender, whose interface would be another, and what a socket that is bound to a device can't be sent.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/udp.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/apart.h"
#include "kernel/udp_packet.h"
#include "res/socket/inet_parts.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* A datagram has less than 64 KiB, and so have several that UDP_GRO has joined. */
#define DATAGRAM_MAX (64UL * 1024)
#define CONTROL_MAX  1024
#define TTL_USUAL    64

/* How long all that was sent to ourselves may take. */
#define ARRIVE_STEP_US 100
#define ARRIVE_STEPS   2000

socklen_t inet_addr_read(const ProtobufCBinaryData *b, union inet_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (b->len > sizeof(*ret) || b->len < sizeof(ret->in))
		return 0;
	memcpy(ret, b->data, b->len);
	if (ret->sa.sa_family == AF_INET && b->len == sizeof(ret->in))
		return b->len;
	return ret->sa.sa_family == AF_INET6 && b->len == sizeof(ret->in6) ? b->len : 0;
}

void inet_addr_plain(union inet_addr *a)
{
	union inet_addr plain = {.in.sin_family = AF_INET};

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	plain.in.sin_port = a->in6.sin6_port;
	memcpy(&plain.in.sin_addr, &a->in6.sin6_addr.s6_addr[12], sizeof(plain.in.sin_addr));
	*a = plain;
}

bool inet_addr_any(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr == htonl(INADDR_ANY)
					  : IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* ---- dump ---- */

/* One that can be peeked at, wherever in the queue; the position goes on. */
static ssize_t peek(
	int fd, struct msghdr *h, struct iovec *iov, union inet_addr *from, void *control)
{
	*h = (struct msghdr){.msg_name = from,
		.msg_namelen = sizeof(*from),
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CONTROL_MAX};
	return recvmsg(fd, h, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
}

/* What the program has asked to be told with each datagram. */
static void read_control(struct msghdr *h, Ckpt__InetDatagram *e, size_t *ret_segment)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		const void *data = CMSG_DATA(c);
		int n = 0;

		memcpy(&n, data, c->cmsg_len - CMSG_LEN(0) == 1 ? 1 : sizeof(n));
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && !e->to.data)
			e->to = msg_bytes(&((const struct in_pktinfo *)data)->ipi_addr, 4);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR &&
			 !e->to.data)
			e->to = msg_bytes(&((const struct sockaddr_in *)data)->sin_addr, 4);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
			e->ttl = n;
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			e->tos = n;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			 !e->to.data)
			e->to = msg_bytes(&((const struct in6_pktinfo *)data)->ipi6_addr, 16);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
			e->ttl = n;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			e->tos = n;
		else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			*ret_segment = n > 0 ? (size_t)n : *ret_segment;
	}
}

int inet_queue_add(
	Ckpt__Inet *m, size_t *cap, const Ckpt__InetDatagram *like, const void *data, size_t len)
{
	Ckpt__InetDatagram *e = msg_new(Ckpt__InetDatagram, CKPT__INET_DATAGRAM__INIT);

	if (!e || vec_reserve(&m->queue, cap, m->n_queue + 1, sizeof(*m->queue)) < 0) {
		free(e);
		return -ENOMEM;
	}
	m->queue[m->n_queue++] = e;
	e->ttl = like->ttl;
	e->tos = like->tos;
	e->from = msg_bytes(like->from.data, like->from.len);
	if (like->to.len)
		e->to = msg_bytes(like->to.data, like->to.len);
	e->data = msg_bytes(data, len);
	return e->from.data && (e->data.data || !len) ? 0 : -ENOMEM;
}

/* One message of recvmsg(2), which is several datagrams where UDP_GRO has joined them. */
static int add_message(
	Ckpt__Inet *m, size_t *cap, struct msghdr *h, const uint8_t *data, size_t len)
{
	Ckpt__InetDatagram like = CKPT__INET_DATAGRAM__INIT;
	size_t segment = len, at = 0;
	int r;

	like.from = (ProtobufCBinaryData){h->msg_namelen, h->msg_name};
	read_control(h, &like, &segment);
	do {
		size_t n = MIN(segment, len - at);

		r = inet_queue_add(m, cap, &like, data + at, n);
		at += n;
	} while (r == 0 && at < len);
	free(like.to.data);
	return r;
}

struct reading {
	int fd;
	Ckpt__Inet *m;
};

static int read_one(int fd, Ckpt__Inet *m, size_t *cap, uint8_t *buf)
{
	uint8_t control[CONTROL_MAX] __attribute__((aligned(8)));
	struct iovec iov = {buf, DATAGRAM_MAX};
	union inet_addr from;
	struct msghdr h;
	ssize_t n = peek(fd, &h, &iov, &from, control);

	if (n < 0)
		return -errno;
	return (size_t)n > DATAGRAM_MAX ? -EMSGSIZE : add_message(m, cap, &h, buf, (size_t)n);
}

/* @hidden: the first one has no bytes: found by a look from no position alone, and by no other then */
static int read_all(int fd, bool hidden, Ckpt__Inet *m)
{
	int none = -1, start = 0;
	_cleanup_free_ uint8_t *buf = malloc(DATAGRAM_MAX);
	size_t cap = 0;
	int r = buf ? 0 : -ENOMEM;

	if (hidden && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof(none)) == 0 && r == 0)
		r = read_one(fd, m, &cap, buf);
	if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof(start)) < 0)
		r = -errno;
	while (r == 0)
		r = read_one(fd, m, &cap, buf);
	return r == -EAGAIN ? 0 : r;
}

static int read_and_put_back(void *arg)
{
	const struct reading *q = arg;
	int fd = q->fd, was = -1, bytes = -1, r;
	socklen_t len = sizeof(was);

	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &was, &len) < 0)
		return -errno;
	r = read_all(fd, ioctl(fd, FIONREAD, &bytes) == 0 && !bytes, q->m);
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &was, sizeof(was)) < 0 && r == 0)
		r = -errno;
	return r;
}

int inet_queue_collect(int fd, Ckpt__Inet *m)
{
	struct pollfd in = {.fd = fd, .events = POLLIN};
	struct reading q = {fd, m};

	return poll(&in, 1, 0) > 0 && in.revents & POLLIN ? apart(read_and_put_back, &q) : 0;
}

/* ---- restore ---- */

/* What all datagrams of a socket have in common. */
struct putting {
	int fd, raw4, raw6;
	int protocol;
	bool shared;              /* one of a group that is bound to the same address */
	union inet_addr local;    /* where the socket is */
	union inet_addr known;    /* the last address that was found to be one of this machine */
	int cpu;                  /* of SO_INCOMING_CPU, which a connected socket loses */
	char device[IF_NAMESIZE]; /* likewise of SO_BINDTODEVICE */
	int patience;             /* steps that may still be waited */
	unsigned lost;
	bool denied; /* for want of CAP_NET_RAW */
};

/* Where it is sent: where it had been sent, as far as that is known. */
static bool destination(struct putting *p, const Ckpt__InetDatagram *e, const union inet_addr *from,
	union inet_addr *ret)
{
	*ret = p->local;
	inet_addr_plain(ret);
	if (from->sa.sa_family == AF_INET && ret->sa.sa_family == AF_INET6 && inet_addr_any(ret)) {
		union inet_addr any = {.in.sin_family = AF_INET};

		any.in.sin_port = ret->in6.sin6_port;
		*ret = any;
	}
	if (from->sa.sa_family != ret->sa.sa_family)
		return false;
	if (from->sa.sa_family == AF_INET && e->to.len == 4)
		memcpy(&ret->in.sin_addr, e->to.data, 4);
	else if (from->sa.sa_family == AF_INET6 && e->to.len == 16)
		memcpy(&ret->in6.sin6_addr, e->to.data, 16);
	if (inet_addr_any(ret) && ret->sa.sa_family == AF_INET)
		ret->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (inet_addr_any(ret))
		ret->in6.sin6_addr = in6addr_loopback;
	return memcmp(&p->known, ret, sizeof(*ret)) == 0 || udp_packet_local(&ret->sa);
}

static bool link_local(const union inet_addr *a)
{
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr);
}

/* As it was not connected before; what has arrived has left the number of its CPU. */
static void disconnect(const struct putting *p)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	connect(p->fd, &none, sizeof(none));
	setsockopt(p->fd, SOL_SOCKET, SO_INCOMING_CPU, &p->cpu, sizeof(p->cpu));
	if (*p->device)
		setsockopt(p->fd, SOL_SOCKET, SO_BINDTODEVICE, p->device, sizeof(p->device));
}

/*
 * Whoever is connected to the sender is preferred to all others of a group. It is given the address that the
 * machine has on the way there, if it had none.
 */
static bool prefer(struct putting *p, const ProtobufCBinaryData *from)
{
	socklen_t len = sizeof(p->local);

	disconnect(p);
	memset(&p->local, 0, sizeof(p->local));
	return connect(p->fd, (const struct sockaddr *)from->data, (socklen_t)from->len) == 0 &&
	       getsockname(p->fd, &p->local.sa, &len) == 0;
}

uint32_t inet_queued(int fd)
{
	uint32_t v[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, v, &len) == 0 ? v[SK_MEMINFO_RMEM_ALLOC] : 0;
}

/* Sent and arrived: so they come in order, whatever CPU carries them. */
static bool send_one(struct putting *p, int raw, const struct udp_packet *u)
{
	uint32_t before = inet_queued(p->fd);

	if (udp_packet_send(raw, u) < 0)
		return false;
	for (; inet_queued(p->fd) <= before; p->patience--) {
		if (p->patience <= 0)
			return false;
		usleep(ARRIVE_STEP_US);
	}
	return true;
}

static bool put_one(struct putting *p, const Ckpt__InetDatagram *e)
{
	union inet_addr from, to;
	struct udp_packet u = {.protocol = p->protocol,
		.from = &from.sa,
		.to = &to.sa,
		.ttl = e->ttl ? e->ttl : TTL_USUAL,
		.tos = e->tos,
		.data = e->data.data,
		.len = e->data.len};
	int *raw;

	if (!inet_addr_read(&e->from, &from))
		return false;
	inet_addr_plain(&from);
	if (link_local(&from) || (p->shared && !prefer(p, &e->from)) ||
		!destination(p, e, &from, &to))
		return false;
	p->known = to;
	raw = from.sa.sa_family == AF_INET ? &p->raw4 : &p->raw6;
	if (*raw < 0)
		*raw = udp_packet_socket(from.sa.sa_family);
	p->denied |= *raw == -EPERM;
	return *raw >= 0 && send_one(p, *raw, &u);
}

static int number(int fd, int name)
{
	int n = 0;
	socklen_t len = sizeof(n);

	return getsockopt(fd, SOL_SOCKET, name, &n, &len) == 0 ? n : 0;
}

int inet_queue_put(struct open_ctx *o, int fd, const Ckpt__Socket *s, const Ckpt__Inet *m)
{
	struct putting p = {.fd = fd,
		.raw4 = -EBADF,
		.raw6 = -EBADF,
		.protocol = s->protocol,
		.patience = ARRIVE_STEPS};
	socklen_t len = sizeof(p.local), device_len = sizeof(p.device);
	bool elsewhere;

	if (!m->n_queue)
		return 0;
	if (getsockname(fd, &p.local.sa, &len) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "getsockname", NULL, "a UDP socket");
	p.shared = number(fd, SO_REUSEPORT);
	p.cpu = number(fd, SO_INCOMING_CPU);
	getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, p.device, &device_len);
	elsewhere = *p.device && strcmp(p.device, "lo") != 0; /* what we send comes from lo */
	for (size_t i = 0; i < m->n_queue; i++)
		p.lost += elsewhere || !put_one(&p, m->queue[i]);
	if (p.shared)
		disconnect(&p);
	fd_close(p.raw4);
	fd_close(p.raw6);
	if (p.lost)
		op_warn(o->op, "%u of %zu datagrams that a UDP socket had not read yet are lost%s",
			p.lost, m->n_queue,
			p.denied ? ": to have them arrive takes CAP_NET_RAW" : "");
	return 0;
}
