/*
 * tcp_look.c - see tcp_look.h. A library would ask for memory, which who is apart (kernel/apart.h) must not.
 */
#include "kernel/tcp_look.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "kernel/tcp_numbers.h"
#include "util/cleanup.h"

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 req;
};

union answer {
	struct nlmsghdr head;
	char room[4096];
};

static void end_of(const struct sockaddr_storage *a, __be32 addr[4], __be16 *port)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;

	if (a->ss_family == AF_INET6)
		memcpy(addr, &in6->sin6_addr, sizeof(in6->sin6_addr));
	else
		memcpy(addr, &in->sin_addr, sizeof(in->sin_addr));
	*port = in->sin_port; /* of either family at the same place */
}

static int ask(int nl, const struct sockaddr_storage *local, const struct sockaddr_storage *peer)
{
	struct question q = {.head = {.nlmsg_len = sizeof(q),
				     .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				     .nlmsg_flags = NLM_F_REQUEST},
		.req = {.sdiag_family = (uint8_t)local->ss_family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = UINT32_MAX,
			.id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};

	end_of(local, q.req.id.idiag_src, &q.req.id.idiag_sport);
	end_of(peer, q.req.id.idiag_dst, &q.req.id.idiag_dport);
	return send(nl, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

/* It is there when the question was sent. */
static int hear(int nl, struct tcp_seen *ret)
{
	union answer a;
	ssize_t n = recv(nl, &a, sizeof(a), MSG_DONTWAIT);
	const struct inet_diag_msg *d = NLMSG_DATA(&a.head);

	if (n < 0)
		return -errno;
	if (!NLMSG_OK(&a.head, (size_t)n))
		return -EIO;
	if (a.head.nlmsg_type == NLMSG_ERROR && (size_t)n >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return ((const struct nlmsgerr *)NLMSG_DATA(&a.head))->error;
	if (a.head.nlmsg_type != SOCK_DIAG_BY_FAMILY || (size_t)n < NLMSG_LENGTH(sizeof(*d)))
		return -EIO;
	*ret = (struct tcp_seen){.state = d->idiag_state, .unread = d->idiag_rqueue};
	/* found for addresses that belong to no connection */
	return d->idiag_state == TCP_IS_LISTEN ? -ENOENT : 0;
}

int tcp_look(const struct sockaddr_storage *local, const struct sockaddr_storage *peer,
	struct tcp_seen *ret)
{
	_cleanup_close_ int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r = nl < 0 ? -errno : ask(nl, local, peer);

	return r < 0 ? r : hear(nl, ret);
}
