/*
 * sock_diag.c - see sock_diag.h.
 */
#include "kernel/sock_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"
#include "util/vec.h"

/* More in one answer than the page that libnl has room for. */
#define ANSWER_MAX (64UL * 1024)
#define SLOTS_MIN  64

#define BIT(n) (1U << (n))

union request {
	struct unix_diag_req un;
	struct inet_diag_req_v2 in;
	struct netlink_diag_req nl;
	struct packet_diag_req pk;
};

static size_t request_of(int family, int protocol, union request *q)
{
	memset(q, 0, sizeof(*q));
	switch (family) {
	case AF_UNIX:
		q->un.sdiag_family = AF_UNIX;
		q->un.udiag_states = UINT32_MAX;
		q->un.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
				   UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN;
		return sizeof(q->un);
	case AF_INET:
	case AF_INET6:
		q->in.sdiag_family = family;
		q->in.sdiag_protocol = protocol;
		q->in.idiag_states = UINT32_MAX;
		q->in.idiag_ext = BIT(INET_DIAG_INFO - 1) | BIT(INET_DIAG_MEMINFO - 1) |
				  BIT(INET_DIAG_SKMEMINFO - 1);
		return sizeof(q->in);
	case AF_NETLINK:
		q->nl.sdiag_family = AF_NETLINK;
		q->nl.sdiag_protocol = NDIAG_PROTO_ALL;
		q->nl.ndiag_show = NDIAG_SHOW_MEMINFO | NDIAG_SHOW_GROUPS;
		return sizeof(q->nl);
	case AF_PACKET:
		q->pk.sdiag_family = AF_PACKET;
		q->pk.pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG |
				   PACKET_SHOW_FANOUT | PACKET_SHOW_MEMINFO | PACKET_SHOW_FILTER;
		return sizeof(q->pk);
	}
	return 0;
}

/* The length of what stands before the attributes. */
static size_t head_of(int family)
{
	switch (family) {
	case AF_UNIX:
		return sizeof(struct unix_diag_msg);
	case AF_NETLINK:
		return sizeof(struct netlink_diag_msg);
	case AF_PACKET:
		return sizeof(struct packet_diag_msg);
	default:
		return sizeof(struct inet_diag_msg);
	}
}

static uint32_t ino_of(int family, const void *msg)
{
	switch (family) {
	case AF_UNIX:
		return ((const struct unix_diag_msg *)msg)->udiag_ino;
	case AF_NETLINK:
		return ((const struct netlink_diag_msg *)msg)->ndiag_ino;
	case AF_PACKET:
		return ((const struct packet_diag_msg *)msg)->pdiag_ino;
	default:
		return ((const struct inet_diag_msg *)msg)->idiag_inode;
	}
}

/* ---- the table ---- */

/* The slot of an inode, or the free one where it belongs. */
static size_t slot_of(const struct sock_diag *t, uint32_t ino)
{
	size_t at = ino * 2654435761U & (t->n_slots - 1);

	for (; t->slots[at] && t->rows[t->slots[at] - 1].ino != ino;)
		at = (at + 1) & (t->n_slots - 1);
	return at;
}

/* The later one counts: a table that changes while it is walked may tell of a socket twice. */
static int index_rows(struct sock_diag *t)
{
	size_t want = SLOTS_MIN;

	while (want < 2 * t->n)
		want *= 2;
	free(t->slots);
	t->slots = calloc(want, sizeof(*t->slots));
	t->n_slots = t->slots ? want : 0;
	if (!t->slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].ino)
			t->slots[slot_of(t, t->rows[i].ino)] = i + 1;
	return 0;
}

const struct sock_diag_row *sock_diag_find(const struct sock_diag *t, uint64_t ino)
{
	size_t at;

	if (!t->n_slots || !ino || ino > UINT32_MAX)
		return NULL;
	at = slot_of(t, (uint32_t)ino);
	return t->slots[at] ? &t->rows[t->slots[at] - 1] : NULL;
}

const void *sock_diag_attr(const struct sock_diag_row *row, int type, size_t *ret_len)
{
	size_t head = NLMSG_ALIGN(head_of(row->family));
	const struct nlattr *a;

	if (row->len <= head)
		return NULL;
	a = nla_find((const struct nlattr *)((const char *)row->msg + head), (int)(row->len - head),
		type);
	if (a && ret_len)
		*ret_len = (size_t)nla_len(a);
	return a ? nla_data(a) : NULL;
}

void sock_diag_done(struct sock_diag *t)
{
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free(t->blocks);
	free(t->rows);
	free(t->asked);
	free(t->slots);
	*t = (struct sock_diag){0};
}

/* ---- the question ---- */

struct answer_ctx {
	struct sock_diag *t;
	int family, protocol;
	int err;
};

static int add_row(struct sock_diag *t, int family, int protocol, const void *msg, size_t len)
{
	void *copy;

	if (vec_reserve(&t->rows, &t->cap, t->n + 1, sizeof(*t->rows)) < 0 ||
		vec_reserve(&t->blocks, &t->cap_blocks, t->n_blocks + 1, sizeof(*t->blocks)) < 0)
		return -ENOMEM;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	t->blocks[t->n_blocks++] = memcpy(copy, msg, len);
	t->rows[t->n++] = (struct sock_diag_row){.ino = ino_of(family, copy),
		.family = (uint8_t)family,
		.protocol = (uint8_t)protocol,
		.msg = copy,
		.len = len};
	return 0;
}

static int one_answer(struct nl_msg *msg, void *arg)
{
	struct answer_ctx *c = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	int len = nlmsg_datalen(h);

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || len < (int)head_of(c->family))
		return NL_SKIP;
	c->err = add_row(c->t, c->family, c->protocol, nlmsg_data(h), (size_t)len);
	return c->err < 0 ? NL_STOP : NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct answer_ctx *c = arg;

	(void)from;
	c->err = e->error;
	return NL_STOP;
}

static void free_socket(struct nl_sock **s)
{
	nl_socket_free(*s);
}

/* Return: 0; -ENOENT there is no module for it; -errno */
static int ask(struct answer_ctx *c)
{
	_cleanup_(free_socket) struct nl_sock *s = nl_socket_alloc();
	union request q;
	size_t len = request_of(c->family, c->protocol, &q);

	if (!s)
		return -ENOMEM;
	if (!len)
		return -EOPNOTSUPP;
	if (nl_connect(s, NETLINK_SOCK_DIAG) < 0)
		return errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	if (nl_socket_set_msg_buf_size(s, ANSWER_MAX) < 0)
		return -ENOMEM;
	nl_socket_modify_cb(s, NL_CB_VALID, NL_CB_CUSTOM, one_answer, c);
	nl_socket_modify_err_cb(s, NL_CB_CUSTOM, on_error, c);
	if (nl_send_simple(s, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &q, len) < 0)
		return -EIO;
	if (nl_recvmsgs_default(s) < 0 && c->err == 0)
		return -EIO;
	return c->err;
}

int sock_diag_read(struct sock_diag *t, int family, int protocol)
{
	uint16_t what = (uint16_t)(family << 8 | (protocol & 0xff));
	struct answer_ctx c = {.t = t, .family = family, .protocol = protocol};
	size_t before = t->n;
	int r;

	for (size_t i = 0; i < t->n_asked; i++)
		if (t->asked[i] == what)
			return 0;
	if (vec_reserve(&t->asked, &t->cap_asked, t->n_asked + 1, sizeof(*t->asked)) < 0)
		return -ENOMEM;
	r = ask(&c);
	if (r == -ENOENT || r == -EINVAL)
		r = -EOPNOTSUPP;
	if (r < 0)
		t->n = before;
	if (index_rows(t) < 0)
		return -ENOMEM;
	if (r == 0)
		t->asked[t->n_asked++] = what;
	return r;
}
