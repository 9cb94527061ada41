/*
 * nft.c - see nft.h.
 *
 * Source: linux/netfilter/nfnetlink.h, nf_tables.h. A batch is framed by NFNL_MSG_BATCH_BEGIN and
 * _END; errors come back for each message, an acknowledgement for the one that asks for it: the last.
 */
#include "kernel/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/vec.h"

#define ANSWER_BYTES (64UL * 1024)
#define ANSWER_SHORT 4096
#define SEND_SPARE   (64UL * 1024) /* what the kernel counts beside the bytes themselves */

int nft_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
		fd_close(fd);
		return -errno;
	}
	return fd;
}

static void fail(struct nft_batch *b, int err)
{
	b->err = b->err ? b->err : err;
}

/* What was begun last is whole now. */
static void flush(struct nft_batch *b)
{
	struct nlmsghdr *h = b->msg ? nlmsg_hdr(b->msg) : NULL;

	if (!h)
		return;
	if (vec_reserve(&b->buf, &b->cap, b->len + NLMSG_ALIGN(h->nlmsg_len), 1) < 0) {
		fail(b, -ENOMEM);
	} else {
		memset(b->buf + b->len, 0, NLMSG_ALIGN(h->nlmsg_len));
		memcpy(b->buf + b->len, h, h->nlmsg_len);
		b->len += NLMSG_ALIGN(h->nlmsg_len);
	}
	nlmsg_free(b->msg);
	b->msg = NULL;
}

static struct nl_msg *begin(
	struct nft_batch *b, int type, int flags, const struct nfgenmsg *g, size_t room)
{
	flush(b);
	b->msg = nlmsg_alloc_size(NLMSG_SPACE(sizeof(*g)) + room);
	if (!b->msg || !nlmsg_put(b->msg, 0, ++b->seq, type, 0, NLM_F_REQUEST | flags) ||
		nlmsg_append(b->msg, (void *)g, sizeof(*g), NLMSG_ALIGNTO) < 0)
		fail(b, -ENOMEM);
	return b->err ? NULL : b->msg;
}

void nft_begin(struct nft_batch *b)
{
	struct nfgenmsg g = {
		.version = NFNETLINK_V0, .res_id = htons((uint16_t)NFNL_SUBSYS_NFTABLES)};

	*b = (struct nft_batch){0};
	begin(b, NFNL_MSG_BATCH_BEGIN, 0, &g, 0);
}

struct nl_msg *nft_msg(struct nft_batch *b, int type, int flags, int family, size_t room)
{
	struct nfgenmsg g = {.nfgen_family = (uint8_t)family, .version = NFNETLINK_V0};

	return begin(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, &g, room);
}

void nft_done(struct nft_batch *b)
{
	if (b->msg)
		nlmsg_free(b->msg);
	free(b->buf);
	*b = (struct nft_batch){0};
}

/* The first error in what the kernel has answered; the answers are all there, and short. */
static int answers(int fd)
{
	uint64_t buf[ANSWER_SHORT / sizeof(uint64_t)];
	int err = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		struct nlmsghdr *h = (void *)buf;

		for (int left = (int)n; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = nlmsg_data(h);

			if (h->nlmsg_type == NLMSG_ERROR && e->error && !err)
				err = e->error;
		}
	}
	return err || errno == EAGAIN ? err : -errno;
}

static int send_all(int fd, const struct nft_batch *b)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec iov = {b->buf, b->len};
	struct msghdr m = {.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = &iov,
		.msg_iovlen = 1};
	int room = (int)(b->len + SEND_SPARE);

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return sendmsg(fd, &m, 0) < 0 ? -errno : 0;
}

void nft_end(struct nft_batch *b)
{
	struct nfgenmsg g = {
		.version = NFNETLINK_V0, .res_id = htons((uint16_t)NFNL_SUBSYS_NFTABLES)};

	begin(b, NFNL_MSG_BATCH_END, 0, &g, 0);
	flush(b);
}

int nft_send(int fd, struct nft_batch *b)
{
	int r = b->err ? b->err : send_all(fd, b);

	return r < 0 ? r : answers(fd);
}

/* ---- looking ---- */

struct listing {
	void (*fn)(const char *name, uint32_t flags, const void *data, size_t len, void *arg);
	void *arg;
};

static void one_table(const struct listing *l, struct nlmsghdr *h)
{
	struct nlattr *a[NFTA_TABLE_MAX + 1];

	if (nlmsg_parse(h, sizeof(struct nfgenmsg), a, NFTA_TABLE_MAX, NULL) < 0 ||
		!a[NFTA_TABLE_NAME])
		return;
	l->fn(nla_get_string(a[NFTA_TABLE_NAME]),
		a[NFTA_TABLE_FLAGS] ? ntohl(nla_get_u32(a[NFTA_TABLE_FLAGS])) : 0,
		a[NFTA_TABLE_USERDATA] ? nla_data(a[NFTA_TABLE_USERDATA]) : NULL,
		a[NFTA_TABLE_USERDATA] ? (size_t)nla_len(a[NFTA_TABLE_USERDATA]) : 0, l->arg);
}

/* Return: 1 there is more to come; 0 that was all; -errno */
static int one_part(const struct listing *l, void *buf, ssize_t n)
{
	struct nlmsghdr *h = buf;

	for (int left = (int)n; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)nlmsg_data(h))->error;
		one_table(l, h);
	}
	return 1;
}

int nft_list_tables(int fd, int family,
	void (*fn)(const char *name, uint32_t flags, const void *data, size_t len, void *arg),
	void *arg)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
	} ask = {.h = {.nlmsg_len = sizeof(ask),
			 .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.g = {.nfgen_family = (uint8_t)family, .version = NFNETLINK_V0}};
	const struct listing l = {fn, arg};
	_cleanup_free_ uint8_t *buf = malloc(ANSWER_BYTES);
	int r = 1;

	if (!buf)
		return -ENOMEM;
	if (send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	while (r > 0) {
		ssize_t n = recv(fd, buf, ANSWER_BYTES, 0);

		r = n < 0 ? -errno : one_part(&l, buf, n);
	}
	return r;
}
