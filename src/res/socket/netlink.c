/*
 * netlink.c - netlink sockets: the number that is their address, and the groups that they listen to.
 *
 * What the kernel has told and the program has not read can't be put back: a message from us bears our
 * number, not the kernel's 0. A listener is told by ENOBUFS that it has missed something, as when its buffer
 * was full, and asks anew. This is brought about by filling its buffer through a group that nobody uses, with a
 * message that means nothing (NLMSG_NOOP), which stays. An answer to a request nobody would repeat, so
 * a socket without groups that has one waiting is refused.
 *
 * The kernel keeps more of some sockets than it tells: of those of auditd, of the process connector, and of
 * whoever has bound a queue or a log of netfilter. They are refused.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/syscalls.h"
#include "proto/netlink.pb-c.h"
#include "proto/socket.pb-c.h"
#include "res/socket/socket.h"
#include "util/cleanup.h"
#include "util/vec.h"

#define GROUPS_MAX          4096
#define SMALL_BUFFER        2304 /* the least that SO_RCVBUF takes, before it is doubled */
#define FILL_BYTES          8192 /* more than that */
#define UNUSED_UEVENT_GROUP 32

static bool match(const struct file_look *l)
{
	return l->sock && l->sock->family == AF_NETLINK;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	(void)procfd;
	switch (l->sock->protocol) {
	case NETLINK_AUDIT:
		return (struct file_verdict){CKPT_REFUSED,
			"the kernel does not tell whether it is the audit daemon's",
			"let the program close it"};
	case NETLINK_CONNECTOR:
		return (struct file_verdict){CKPT_REFUSED,
			"the kernel does not tell what it has asked the connector for",
			"let the program close it"};
	}
	return socket_verdict(l);
}

/* ---- dump ---- */

/* "    0   1234 ...": the second word of each line is the number of a socket that has bound something. */
static bool listed(const char *path, uint32_t portid)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[256];
	unsigned long got;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %lu", &got) == 1 && got == portid)
			return true;
	return false;
}

static int check_netfilter(struct collect *c, const struct file_look *l, uint32_t portid)
{
	const char *what = NULL;

	if (l->sock->protocol != NETLINK_NETFILTER || !portid)
		return 0;
	if (listed("/proc/net/netfilter/nfnetlink_queue", portid))
		what = "queue";
	else if (listed("/proc/net/netfilter/nfnetlink_log", portid))
		what = "log";
	return what ? op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "let the program unbind it",
			      "pid %d (%s): fd %d has bound a %s of netfilter, which can't be saved",
			      c->pid, c->tr->comm, l->target_fd, what)
		    : 0;
}

/* A set bit is the number of a group, less one. */
static int read_groups(int fd, Ckpt__Netlink *m)
{
	uint32_t bits[GROUPS_MAX / 32] = {0};
	socklen_t len = sizeof(bits);
	size_t cap = 0;

	if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, bits, &len) < 0)
		return -errno;
	if (len > sizeof(bits))
		return -E2BIG;
	for (uint32_t i = 0; i < len * 8; i++) {
		if (!(bits[i / 32] >> i % 32 & 1))
			continue;
		if (vec_reserve(&m->groups, &cap, m->n_groups + 1, sizeof(*m->groups)) < 0)
			return -ENOMEM;
		m->groups[m->n_groups++] = i + 1;
	}
	return 0;
}

static int read_all(const struct file_look *l, Ckpt__Netlink *m)
{
	struct sockaddr_nl a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(l->fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	m->portid = a.nl_pid;
	len = sizeof(a);
	if (getpeername(l->fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	m->peer_portid = a.nl_pid;
	m->peer_groups = a.nl_groups;
	return read_groups(l->fd, m);
}

static int check_unread(struct collect *c, const struct file_look *l, Ckpt__Netlink *m)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};

	if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLIN | POLLERR)))
		return 0;
	if (!m->n_groups)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
			"dump again when the program has read it",
			"pid %d (%s): fd %d: an answer of the kernel that is not read yet can't be put back",
			c->pid, c->tr->comm, l->target_fd);
	m->lost = true;
	op_warn(c->op,
		"pid %d (%s): fd %d: what it was told by netlink and has not read is not saved; it will be "
		"told that it has missed something (ENOBUFS)",
		c->pid, c->tr->comm, l->target_fd);
	return 0;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct file_verdict v = verdict(-1, l);
	Ckpt__Netlink *m;
	int r;

	if (v.verdict == CKPT_REFUSED)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, v.advice, "pid %d (%s): fd %d: %s",
			c->pid, c->tr->comm, l->target_fd, v.reason);
	m = msg_new(Ckpt__Netlink, CKPT__NETLINK__INIT);
	if (!m)
		return collect_oom(c);
	r = read_all(l, m);
	if (r < 0)
		op_fail(c->op, CKPT_E_SYSTEM, -r, "getsockopt", NULL, "pid %d (%s): fd %d", c->pid,
			c->tr->comm, l->target_fd);
	else
		r = check_netfilter(c, l, m->portid);
	if (r == 0)
		r = check_unread(c, l, m);
	if (r == 0)
		r = socket_collect(c, id, l);
	if (r == 0)
		return collect_add_take(c, &res_netlink.type, id, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

/* ---- restore ---- */

/* A group of the protocol that the kernel sends nothing to; 0: none is known. */
static int unused_group(int protocol)
{
	switch (protocol) {
	case NETLINK_ROUTE:
		return RTNLGRP_NOP2;
	case NETLINK_KOBJECT_UEVENT:
		return UNUSED_UEVENT_GROUP;
	}
	return 0;
}

/* Two messages to a buffer that has room for one. */
static bool overflow(int protocol, int group)
{
	_cleanup_close_ int from = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1U << (group - 1)};
	_cleanup_free_ struct nlmsghdr *h = calloc(1, FILL_BYTES);
	bool sent = from >= 0 && h;

	for (int i = 0; sent && i < 2; i++) {
		h->nlmsg_len = FILL_BYTES;
		h->nlmsg_type = NLMSG_NOOP;
		sent = sendto(from, h, FILL_BYTES, 0, (struct sockaddr *)&to, sizeof(to)) > 0;
	}
	return sent;
}

/* As if its buffer had been full. */
static void tell_lost(struct open_ctx *o, int fd, int protocol)
{
	int group = unused_group(protocol), was = 0, lock = 0, small = SMALL_BUFFER;
	socklen_t len = sizeof(int);
	bool told = false;

	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &was, &len);
	getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &len);
	was /= 2; /* what is told is the double of what is set */
	if (group && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0 &&
		setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0) {
		told = overflow(protocol, group);
		setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group));
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &was, sizeof(was)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &was, sizeof(was));
	setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock));
	if (!told)
		op_warn(o->op,
			"a netlink socket of protocol %d can't be told that it has missed "
			"something",
			protocol);
}

static int make(struct open_ctx *o, uint64_t id, int fd, const struct model_rec *rec)
{
	const Ckpt__Netlink *m = (const void *)rec->msg;
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = m->portid};
	const Ckpt__Socket *s = socket_record(o, id);
	int r;

	if (m->portid && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "bind",
			errno == EADDRINUSE ? "another program has that number now" : NULL,
			"netlink socket %u of protocol %d", m->portid, s->protocol);
	for (size_t i = 0; i < m->n_groups; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &m->groups[i],
			    sizeof(m->groups[i])) < 0)
			return op_fail(o->op, CKPT_E_SYSTEM, errno,
				"setsockopt(NETLINK_ADD_MEMBERSHIP)", NULL,
				"group %u of netlink protocol %d", m->groups[i], s->protocol);
	a.nl_pid = m->peer_portid;
	a.nl_groups = m->peer_groups;
	if ((m->peer_portid || m->peer_groups) && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "connect", NULL,
			"netlink socket %u of protocol %d", m->portid, s->protocol);
	if (m->lost)
		tell_lost(o, fd, s->protocol);
	r = socket_options(o, id, fd, SOCKOPT_BOUND);
	if (r == 0)
		r = socket_options(o, id, fd, SOCKOPT_LAST);
	return r < 0 ? r : socket_flags(o, id, fd);
}

static int open_netlink(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	(void)file_record;
	return socket_open(o, id, rec, make);
}

static const struct file_ops ops = {.match = match,
	.verdict = verdict,
	.collect = collect,
	.open = open_netlink}; /* whether something has come meanwhile */
static const char *const volatile_fields[] = {"lost", NULL};

const struct res res_netlink = {
	.type = {"netlink", SCOPE_FILE, &ckpt__netlink__descriptor, volatile_fields},
	.file = &ops,
};
