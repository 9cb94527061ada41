/*
 * packet.c - packet sockets: the interface and the protocol that they listen to, fanout, memberships, rings.
 *
 * sock_diag(7) tells memberships and rings, which no getsockopt does, and PACKET_COPY_THRESH, which an older one
 * does not. A socket is made with protocol 0, which
 * gets nothing, and bound last, so that no packet passes it before its filter is on. Packets that are not read
 * are lost, but for those in a ring (packet_rings.c): what a network interface has seen does not come again.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/packet_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kernel/sock_diag.h"
#include "proto/socket.pb-c.h"
#include "res/socket/packet_parts.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define FANOUT_KIND(fanout) ((fanout) >> 16 & 0xff)
#define COUNT_MAX           4096 /* how often one thing is asked of an interface */

static bool match(const struct file_look *l)
{
	return l->sock && l->sock->family == AF_PACKET &&
	       (l->sock->type == SOCK_RAW || l->sock->type == SOCK_DGRAM);
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	(void)procfd;
	return socket_verdict(l);
}

/* ---- dump ---- */

static char *name_of(int ifindex)
{
	char name[IF_NAMESIZE] = "";

	if (ifindex && !if_indextoname(ifindex, name))
		return NULL;
	return strdup(name);
}

static int add_member(Ckpt__Packet *m, size_t *cap, const struct packet_diag_mclist *d)
{
	Ckpt__PacketMember *e = msg_new(Ckpt__PacketMember, CKPT__PACKET_MEMBER__INIT);

	if (!e || vec_reserve(&m->members, cap, m->n_members + 1, sizeof(*m->members)) < 0) {
		free(e);
		return -ENOMEM;
	}
	m->members[m->n_members++] = e;
	e->interface = name_of((int)d->pdmc_index);
	e->kind = d->pdmc_type;
	e->count = d->pdmc_count;
	e->address = msg_bytes(d->pdmc_addr, MIN(d->pdmc_alen, sizeof(d->pdmc_addr)));
	return e->interface ? 0 : -ENODEV;
}

static int read_members(const struct sock_diag_row *row, Ckpt__Packet *m)
{
	size_t len = 0, cap = 0;
	const struct packet_diag_mclist *v = sock_diag_attr(row, PACKET_DIAG_MCLIST, &len);
	int r = 0;

	/* the latest comes first */
	for (size_t n = v ? len / sizeof(*v) : 0; r == 0 && n; n--)
		r = add_member(m, &cap, &v[n - 1]);
	return r;
}

static int read_all(const struct file_look *l, const struct sock_diag_row *row, Ckpt__Packet *m)
{
	struct sockaddr_ll a = {0};
	socklen_t len = sizeof(a);
	const struct packet_diag_info *info = sock_diag_attr(row, PACKET_DIAG_INFO, NULL);
	int r;

	if (getsockname(l->fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	m->copy_bytes = info ? info->pdi_copy_thresh : 0;
	m->protocol = ntohs(a.sll_protocol);
	free(m->interface);
	m->interface = name_of(a.sll_ifindex);
	if (!m->interface)
		return -ENODEV;
	len = sizeof(m->fanout);
	if (getsockopt(l->fd, SOL_PACKET, PACKET_FANOUT, &m->fanout, &len) < 0)
		return -errno;
	r = read_members(row, m);
	return r == 0 ? packet_rings_read(row, m) : r;
}

static int check(struct collect *c, const struct file_look *l, const Ckpt__Packet *m)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	unsigned kind = FANOUT_KIND(m->fanout);
	int unread = 0;

	if (m->fanout && (kind == PACKET_FANOUT_CBPF || kind == PACKET_FANOUT_EBPF))
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program close it",
			"pid %d (%s): fd %d: the kernel does not give the program of a fanout group back",
			c->pid, c->tr->comm, l->target_fd);
	/* of a ring poll(2) tells, too, and what is in that is saved */
	if (m->rx ? ioctl(l->fd, SIOCINQ, &unread) == 0 && unread
		  : poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		op_warn(c->op,
			"pid %d (%s): fd %d: unread packets of a packet socket are not saved",
			c->pid, c->tr->comm, l->target_fd);
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	const struct sock_diag *diag;
	const struct sock_diag_row *row;
	Ckpt__Packet *m;
	int r = socket_diag(c->tree, AF_PACKET, 0, &diag);

	if (r < 0)
		return r;
	row = sock_diag_find(diag, l->st.st_ino);
	m = msg_new(Ckpt__Packet, CKPT__PACKET__INIT);
	if (!m)
		return collect_oom(c);
	m->interface = strdup("");
	/* of another network namespace; which socket_collect() says */
	r = row && m->interface ? read_all(l, row, m) : 0;
	if (r < 0)
		op_fail(c->op, CKPT_E_SYSTEM, -r, "getsockname",
			r == -ENODEV ? "its network interface is gone: let the program close it"
				     : NULL,
			"pid %d (%s): fd %d", c->pid, c->tr->comm, l->target_fd);
	if (r == 0)
		r = socket_collect(c, id, l);
	if (r == 0 && !row)
		r = op_fail(c->op, CKPT_E_SYSTEM, ENOENT, "sock_diag", NULL,
			"pid %d (%s): fd %d: packet socket", c->pid, c->tr->comm, l->target_fd);
	if (r == 0)
		r = check(c, l, m);
	if (r == 0)
		return collect_add_take(c, &res_packet.type, id, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* ---- restore ---- */

/* Return: 0 for all; negative after op_fail(). */
static int index_of(struct open_ctx *o, const char *name)
{
	unsigned i = *name ? if_nametoindex(name) : 0;

	return *name && !i ? op_fail(o->op, CKPT_E_SYSTEM, ENODEV, "if_nametoindex",
				     "the machine needs an interface of that name",
				     "a packet socket of the interface %s", name)
			   : (int)i;
}

static int join(struct open_ctx *o, int fd, const Ckpt__PacketMember *e)
{
	/* the kernel takes longer addresses than its header has room for */
	struct {
		struct packet_mreq mr;
		uint8_t more[32];
	} q = {.mr = {.mr_type = e->kind}};
	int i = index_of(o, e->interface);

	if (i < 0)
		return i;
	if (e->address.len > sizeof(q.more) || e->count > COUNT_MAX)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a membership of a packet socket is out of range");
	q.mr.mr_ifindex = i;
	q.mr.mr_alen = e->address.len;
	if (e->address.len)
		memcpy((uint8_t *)&q + offsetof(struct packet_mreq, mr_address), e->address.data,
			e->address.len);
	for (uint32_t n = 0; n < e->count; n++)
		if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &q,
			    MAX(sizeof(q.mr),
				    offsetof(struct packet_mreq, mr_address) + e->address.len)) < 0)
			return op_fail(o->op, CKPT_E_SYSTEM, errno,
				"setsockopt(PACKET_ADD_MEMBERSHIP)", NULL, "a packet socket, on %s",
				e->interface);
	return 0;
}

static int bind_again(struct open_ctx *o, int fd, const Ckpt__Packet *m)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(m->protocol)};
	int i = index_of(o, m->interface);

	if (i < 0)
		return i;
	a.sll_ifindex = i;
	if ((i || m->protocol) && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "bind", NULL,
			"a packet socket of protocol %#x, interface %s", m->protocol,
			*m->interface ? m->interface : "any");
	if (m->fanout &&
		setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &m->fanout, sizeof(m->fanout)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(PACKET_FANOUT)", NULL,
			"group %u of packet sockets", m->fanout & 0xffff);
	return 0;
}

static int make(struct open_ctx *o, uint64_t id, int fd, const struct model_rec *rec)
{
	const Ckpt__Packet *m = (const void *)rec->msg;
	int r = socket_options(o, id, fd, SOCKOPT_BOUND);

	if (r == 0)
		r = packet_rings_open(o, id, fd, m);
	if (r == 0 && m->copy_bytes &&
		setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &m->copy_bytes,
			sizeof(m->copy_bytes)) < 0)
		r = op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(PACKET_COPY_THRESH)", NULL,
			"a packet socket");
	return r < 0 ? r : socket_flags(o, id, fd);
}

/* One with a ring lets nothing pass up to now: the filter of its own takes the place of that, or none. */
static int let_pass(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Packet *m)
{
	const Ckpt__Socket *s = socket_record(o, id);
	int none = 0;

	if (!s)
		return -EBADMSG;
	if (m->rx && !s->filter.len &&
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "setsockopt(SO_DETACH_FILTER)", NULL,
			"a packet socket");
	return socket_options(o, id, fd, SOCKOPT_LAST);
}

/* When all rings are filled, so that none gets the packets by which another one was. */
static int opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	const Ckpt__Packet *m = (const void *)rec->msg;
	int r = m->rx ? 0 : let_pass(o, rec->owner, fd, m);

	for (size_t i = 0; r == 0 && i < m->n_members; i++)
		r = join(o, fd, m->members[i]);
	if (r == 0)
		r = bind_again(o, fd, m);
	return r == 0 && m->rx ? let_pass(o, rec->owner, fd, m) : r;
}

static int open_packet(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	(void)file_record;
	return socket_open(o, id, rec, make);
}

static const struct file_ops ops = {
	.match = match,
	.verdict = verdict,
	.collect = collect,
	.finish = packet_rings_finish,
	.early = true, /* before the mappings of its rings, for which it stands */
	.open = open_packet,
	.opened_all = opened_all,
};

const struct res res_packet = {
	.type = {"packet", SCOPE_FILE, &ckpt__packet__descriptor, NULL},
	.file = &ops,
};
