/*
 * tcp_timewait.c - see tcp_timewait.h.
 */
#include "kernel/tcp_timewait.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/sock_diag.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_numbers.h"
#include "util/cleanup.h"

static void local_of(const struct inet_diag_msg *d, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = d->idiag_family;
	in->sin_port = d->id.idiag_sport; /* of either family at the same place */
	if (d->idiag_family == AF_INET6)
		memcpy(&in6->sin6_addr, d->id.idiag_src, sizeof(in6->sin6_addr));
	else
		memcpy(&in->sin_addr, d->id.idiag_src, sizeof(in->sin_addr));
	tcp_plain_addr(ret);
}

static bool is_any(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6
		       ? IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)a)->sin6_addr)
		       : ((const struct sockaddr_in *)a)->sin_addr.s_addr == INADDR_ANY;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	return a->ss_family == AF_INET6
		       ? IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
				 &((const struct sockaddr_in6 *)b)->sin6_addr)
		       : ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
				 ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

static bool in_the_way(const struct inet_diag_msg *d, const struct sockaddr_storage *local)
{
	struct sockaddr_storage other;

	local_of(d, &other);
	return ((const struct sockaddr_in *)local)->sin_port == d->id.idiag_sport &&
	       (is_any(local) || is_any(&other) || same_address(local, &other));
}

static int destroy(int fd, const struct inet_diag_msg *d)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 q;
	} m = {.h = {.nlmsg_len = sizeof(m),
		       .nlmsg_type = SOCK_DESTROY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.q = {.sdiag_family = d->idiag_family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = UINT32_MAX,
			.id = d->id}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		uint8_t rest[256];
	} a;
	ssize_t n = send(fd, &m, sizeof(m), 0) < 0 ? -1 : recv(fd, &a, sizeof(a), 0);

	if (n < 0)
		return -errno;
	if (n < (ssize_t)(sizeof(a.h) + sizeof(a.e)) || a.h.nlmsg_type != NLMSG_ERROR)
		return -EIO;
	return a.e.error;
}

static int end_all(const struct sock_diag *t, const struct sockaddr_storage *local)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int n = 0, r = fd < 0 ? -errno : 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct inet_diag_msg *d = t->rows[i].msg;

		if (d->idiag_state == TCP_IS_LISTEN && in_the_way(d, local))
			return 0;
	}
	for (size_t i = 0; i < t->n && r == 0; i++) {
		const struct inet_diag_msg *d = t->rows[i].msg;

		if (d->idiag_state != TCP_IS_TIME_WAIT || !in_the_way(d, local))
			continue;
		r = destroy(fd, d);
		n += r == 0;
		if (r == -ENOENT)
			r = 0;
	}
	return r < 0 ? r : n;
}

int tcp_timewait_end(const struct sockaddr_storage *local)
{
	struct sockaddr_storage plain = *local;
	struct sock_diag t = {0};
	int r = sock_diag_read(&t, AF_INET, IPPROTO_TCP);

	if (r == 0)
		sock_diag_read(&t, AF_INET6, IPPROTO_TCP); /* a machine may not have it */
	tcp_plain_addr(&plain);
	if (r == 0)
		r = end_all(&t, &plain);
	sock_diag_done(&t);
	return r;
}
