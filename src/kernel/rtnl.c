/*
 * rtnl.c - see rtnl.h.
 */
#include "kernel/rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"

#define ANSWER_MAX (64UL * 1024)

static int rtnl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

/* Return: 0 there is more; 1 that was all; negative. */
static int walk(const void *buf, size_t len, int (*fn)(const struct nlmsghdr *, void *), void *arg)
{
	const struct nlmsghdr *h = buf;
	int r = 0;

	for (; r == 0 && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		r = fn(h, arg);
	}
	return r;
}

int rtnl_dump(int type, int (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
	_cleanup_close_ int fd = rtnl_open();
	_cleanup_free_ void *buf = malloc(ANSWER_MAX);
	struct {
		struct nlmsghdr h;
		struct rtmsg r; /* as long as what any of the requests begins with */
	} q = {.h = {sizeof(q), type, NLM_F_REQUEST | NLM_F_DUMP, 0, 0}};
	int r = 0;

	if (fd < 0 || !buf)
		return fd < 0 ? fd : -ENOMEM;
	if (send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = recv(fd, buf, ANSWER_MAX, 0);

		r = n < 0 ? -errno : walk(buf, (size_t)n, fn, arg);
	}
	return r < 0 ? r : 0;
}

int rtnl_send(int type, int flags, const void *body, size_t len)
{
	_cleanup_close_ int fd = rtnl_open();
	_cleanup_free_ struct nlmsghdr *h = calloc(1, NLMSG_SPACE(len));
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} answer;
	ssize_t n;

	if (fd < 0 || !h)
		return fd < 0 ? fd : -ENOMEM;
	h->nlmsg_len = NLMSG_LENGTH(len);
	h->nlmsg_type = type;
	h->nlmsg_flags = flags | NLM_F_REQUEST | NLM_F_ACK;
	memcpy(NLMSG_DATA(h), body, len);
	if (send(fd, h, h->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < (ssize_t)sizeof(answer) || answer.h.nlmsg_type != NLMSG_ERROR)
		return n < 0 ? -errno : -EBADMSG;
	return answer.e.error;
}

const struct rtattr *rtnl_attr(const void *attrs, size_t len, int type)
{
	for (const struct rtattr *a = attrs; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == type)
			return a;
	return NULL;
}
