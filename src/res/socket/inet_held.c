/*
 * inet_held.c - the datagram that a socket holds back, under UDP_CORK or for MSG_MORE.
 *
 * It is read where it lies (kernel/sock_held.h), so nothing is sent and a program that goes on notices nothing. It
 * comes back by being sent again, with MSG_MORE, as one piece: the route must be there, and nothing leaves. What the
 * program adds then is of the same datagram, as before.
 *
 * Addresses and numbers that the first piece came with (IP_PKTINFO, IP_TOS, IP_TTL, UDP_SEGMENT) come with it again.
 * Not saved: SO_MARK, SO_PRIORITY and SCM_TXTIME of one message.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/sock_held.h"
#include "res/file/seen.h"
#include "res/socket/inet_parts.h"
#include "util/cleanup.h"

#define DATAGRAM_MAX 65535

/* How long a packet may be on its way through the machine before it counts as held back. */
#define DRAIN_STEP_US    1000
#define DRAIN_STEPS      3 /* before it is looked whether it is held back */
#define DRAIN_STEPS_MORE 17

static int option(int fd, int level, int name)
{
	int n = 0;
	socklen_t len = sizeof(n);

	return getsockopt(fd, level, name, &n, &len) == 0 ? n : 0;
}

/* ---- dump ---- */

void inet_held_done(struct collect_tree *t)
{
	sock_held_close(t->held);
	t->held = NULL;
}

/* Bytes of memory of what was sent and has not left; what is held back stays, however long it is waited. */
static int unsent(int fd, int steps)
{
	int n = 0;

	for (int i = 0; ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 && i < steps; i++)
		usleep(DRAIN_STEP_US);
	return n;
}

/* Where the destination alone does not say by which interface. */
static bool needs_interface(const struct sock_held *h)
{
	if (h->family == AF_INET)
		return (h->to[0] & 0xf0) == 0xe0 || memcmp(h->to, "\xff\xff\xff\xff", 4) == 0;
	return h->to[0] == 0xff || (h->to[0] == 0xfe && (h->to[1] & 0xc0) == 0x80);
}

/* A socket that is bound to an address sends from that. */
static bool sends_from_any(const Ckpt__Inet *m)
{
	static const uint8_t none[16];
	union inet_addr a;

	if (!inet_addr_read(&m->local, &a))
		return true;
	return a.sa.sa_family == AF_INET ? !a.in.sin_addr.s_addr
					 : !memcmp(&a.in6.sin6_addr, none, sizeof(none));
}

static ProtobufCBinaryData address_of(const struct file_look *l, const struct sock_held *h)
{
	union inet_addr a = {.sa.sa_family = (sa_family_t)l->sock->family};

	if (l->sock->family == AF_INET) {
		a.in.sin_port = h->port;
		memcpy(&a.in.sin_addr, h->to, 4);
		return msg_bytes(&a, sizeof(a.in));
	}
	a.in6.sin6_port = h->port;
	a.in6.sin6_flowinfo = h->label;
	if (h->family == AF_INET6) {
		memcpy(&a.in6.sin6_addr, h->to, 16);
	} else { /* an address of IPv4 that is written as one of IPv6 */
		memset(&a.in6.sin6_addr.s6_addr[10], 0xff, 2);
		memcpy(&a.in6.sin6_addr.s6_addr[12], h->to, 4);
	}
	return msg_bytes(&a, sizeof(a.in6));
}

/* Return: 0; -EDESTADDRREQ it is not known where it goes; -ENOMEM */
static int fill(const struct file_look *l, const struct sock_held *h, Ckpt__Inet *m)
{
	static const uint8_t none[16];
	size_t addr_len = h->family == AF_INET ? 4 : 16;
	int tos = h->family == AF_INET ? option(l->fd, IPPROTO_IP, IP_TOS)
				       : option(l->fd, IPPROTO_IPV6, IPV6_TCLASS);
	bool knows_to = memcmp(h->to, none, addr_len) != 0;
	Ckpt__InetHeld *e;

	if (!knows_to && !m->peer.len)
		return -EDESTADDRREQ;
	m->held = e = msg_new(Ckpt__InetHeld, CKPT__INET_HELD__INIT);
	if (!e)
		return -ENOMEM;
	e->data = msg_bytes(h->data, h->len);
	if (knows_to)
		e->to = address_of(l, h);
	if (sends_from_any(m) && memcmp(h->from, none, addr_len) != 0)
		e->from = msg_bytes(h->from, addr_len);
	if (needs_interface(h))
		e->interface = strdup(h->device);
	e->ttl = (uint32_t)h->ttl;
	e->own_tos = h->tos >= 0 && h->tos != tos;
	e->tos = e->own_tos ? (uint32_t)h->tos : 0;
	e->segment = h->segment;
	return (e->data.data || !h->len) && (e->to.data || !knows_to) && e->interface ? 0 : -ENOMEM;
}

static const char *why(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
		return "that takes CAP_BPF, CAP_PERFMON and CAP_NET_RAW";
	case -EOPNOTSUPP:
		return "it has IP options or extension headers";
	case -EDESTADDRREQ:
		return "the kernel does not keep where it goes";
	case -ENOENT:
	case -ENOSYS:
	case -EINVAL:
		return "this kernel has no BTF, or no BPF";
	}
	return "what the kernel has there is not understood";
}

/* Of MSG_MORE nothing tells that it is held back at all: it may be under way. */
static int can_not(struct collect *c, const struct file_look *l, bool corked, int r)
{
	if (corked)
		return op_fail(c->op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_REFUSED, 0, NULL,
			"dump again when the program has sent it, or give it up (--fd PID:N=close)",
			"pid %d (%s): fd %d: data that UDP_CORK holds back can't be read: %s",
			c->pid, c->tr->comm, l->target_fd, why(r));
	if (unsent(l->fd, DRAIN_STEPS_MORE) > 0)
		op_warn(c->op,
			"pid %d (%s): fd %d: a datagram that is not sent yet (MSG_MORE, or a slow "
			"device) is not saved: %s",
			c->pid, c->tr->comm, l->target_fd, why(r));
	return 0;
}

int inet_held_collect(struct collect *c, const struct file_look *l, Ckpt__Inet *m)
{
	bool raw = l->sock->type == SOCK_RAW;
	bool corked = !raw && option(l->fd, IPPROTO_UDP, UDP_CORK);
	struct sock_held h = {.data = NULL};
	int r = 0;

	if (unsent(l->fd, corked ? 0 : DRAIN_STEPS) <= 0)
		return 0;
	if (!c->tree->held) {
		struct kmem *k;

		r = socket_kmem(c->tree, &k);
		if (r == 0)
			r = sock_held_open(k, &c->tree->held);
	}
	if (r == 0)
		r = sock_held_read(c->tree->held, l->fd, l->st.st_ino, l->sock->family, raw, &h);
	if (r == 0 && unsent(l->fd, corked ? 0 : DRAIN_STEPS_MORE) > 0)
		op_warn(c->op,
			"pid %d (%s): fd %d: a datagram that a slow device has not sent yet is not saved",
			c->pid, c->tr->comm, l->target_fd);
	if (r == 1)
		r = fill(l, &h, m);
	free(h.data);
	if (r == -ENOMEM)
		return collect_oom(c);
	return r < 0 ? can_not(c, l, corked, r) : 0;
}

/* ---- restore ---- */

#define CONTROL_MAX 256

/* A message that is put together. */
struct message {
	struct msghdr h;
	uint8_t control[CONTROL_MAX] __attribute__((aligned(8)));
};

static void add_control(struct message *m, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (void *)(m->control + m->h.msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->h.msg_controllen += CMSG_SPACE(len);
	m->h.msg_control = m->control;
}

static void add_number(struct message *m, int level, int type, int n)
{
	add_control(m, level, type, &n, sizeof(n));
}

/* From where, and by which interface. */
static void add_source(
	struct message *m, const Ckpt__InetHeld *e, bool four, unsigned interface, bool from)
{
	struct in_pktinfo p4 = {.ipi_ifindex = (int)interface};
	struct in6_pktinfo p6 = {.ipi6_ifindex = interface};

	if (from && four && e->from.len == sizeof(p4.ipi_spec_dst))
		memcpy(&p4.ipi_spec_dst, e->from.data, e->from.len);
	else if (from && !four && e->from.len == sizeof(p6.ipi6_addr))
		memcpy(&p6.ipi6_addr, e->from.data, e->from.len);
	else if (!interface)
		return;
	if (four)
		add_control(m, IPPROTO_IP, IP_PKTINFO, &p4, sizeof(p4));
	else
		add_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &p6, sizeof(p6));
}

static int send_held(int fd, const Ckpt__InetHeld *e, union inet_addr *to, socklen_t len, bool from)
{
	union inet_addr plain = *to;
	struct iovec iov = {e->data.data, e->data.len};
	struct message m = {.h = {.msg_iov = &iov, .msg_iovlen = 1}};
	unsigned interface = *e->interface ? if_nametoindex(e->interface) : 0;
	uint16_t segment = (uint16_t)e->segment;
	bool four;

	if (*e->interface && !interface)
		return -ENODEV;
	inet_addr_plain(&plain);
	four = plain.sa.sa_family == AF_INET;
	if (len) {
		m.h.msg_name = to;
		m.h.msg_namelen = len;
		if (!four)
			to->in6.sin6_scope_id = interface;
	}
	add_source(&m, e, four, interface, from);
	if (e->ttl)
		add_number(&m, four ? IPPROTO_IP : IPPROTO_IPV6, four ? IP_TTL : IPV6_HOPLIMIT,
			(int)e->ttl);
	if (e->own_tos)
		add_number(&m, four ? IPPROTO_IP : IPPROTO_IPV6, four ? IP_TOS : IPV6_TCLASS,
			(int)e->tos);
	if (segment != option(fd, IPPROTO_UDP, UDP_SEGMENT))
		add_control(&m, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	return sendmsg(fd, &m.h, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int inet_held_put(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Inet *m)
{
	const Ckpt__InetHeld *e = m->held;
	union inet_addr to;
	socklen_t len;
	int r;

	if (!e)
		return 0;
	/* a raw socket of IPv4 sends to its peer */
	len = inet_addr_read(e->to.len ? &e->to : &m->peer, &to);
	if (!len || e->data.len > DATAGRAM_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: what it holds back has no address, or %zu bytes",
			(unsigned long long)id, e->data.len);
	r = send_held(fd, e, &to, e->to.len ? len : 0, true);
	/* the machine has another address now: it is that of all that is sent from here on */
	if (r < 0 && e->from.len)
		r = send_held(fd, e, &to, e->to.len ? len : 0, false);
	if (r == 0)
		return 0;
	return op_fail(o->op, CKPT_E_SYSTEM, -r, "sendmsg",
		r == -ENETUNREACH ? "the machine needs a route there"
		: r == -ENODEV    ? "the machine needs the interface by which it leaves"
				  : NULL,
		"file %llu: what it holds back for %s", (unsigned long long)id,
		socket_addr_text(&to.sa).s);
}
