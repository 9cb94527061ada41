/*
 * tcp.c - TCP sockets at a dump.
 *
 * What a socket is TCP_INFO tells: its state, and what options were agreed on. Queues and sequence numbers
 * of connections are read when all of them are known, and locked: the two ends of one that is inside
 * the tree, and what the peer of another believes, then fit together.
 *
 * A socket of MPTCP that listens is one of these as well. What it accepts from peers without MPTCP are sockets of
 * TCP, and its connections with others the kernel does not give away.
 */
#include "res/socket/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "kernel/probe.h"
#include "kernel/syscalls.h"
#include "kernel/tcp_repair.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/vec.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static bool match(const struct file_look *l)
{
	return l->sock && l->sock->type == SOCK_STREAM &&
	       (l->sock->protocol == IPPROTO_TCP || l->sock->protocol == IPPROTO_MPTCP) &&
	       (l->sock->family == AF_INET || l->sock->family == AF_INET6);
}

static bool connected(int state)
{
	return state && state != TCP_IS_CLOSE && state != TCP_IS_LISTEN;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	struct file_verdict ok = socket_verdict(l), no = {.verdict = CKPT_REFUSED};

	(void)procfd;
	if (ok.verdict != CKPT_SAVED)
		return ok;
	if (l->sock->ulp[0]) {
		no.reason =
			"what the kernel works on top of it (TLS and the like: TCP_ULP) does not give "
			"its state";
		no.advice = "have the program do its own TLS, or close the connection";
		return no;
	}
	if (l->sock->tcp_state == TCP_IS_SYN_RECV) {
		no.reason = "a connection that is being accepted (TCP_FASTOPEN) can't be saved";
		no.advice = "dump it later";
		return no;
	}
	if (l->sock->protocol == IPPROTO_TCP)
		ok = tcp_keys_verdict(l);
	if (ok.verdict != CKPT_SAVED || !connected(l->sock->tcp_state))
		return ok;
	if (l->sock->protocol == IPPROTO_MPTCP) {
		no.reason =
			"a connection of MPTCP can't be saved: the kernel has no repair mode for it";
		no.advice = "have the program use TCP (Go: GODEBUG=multipathtcp=0)";
		return no;
	}
	if (!kernel_has(FEATURE_TCP_REPAIR)) {
		no.reason = "a connection takes CAP_NET_ADMIN, and a kernel with TCP's repair mode";
		no.advice = "run as root";
		return no;
	}
	return ok;
}

/* ---- collecting ---- */

static bool bound(const struct sockaddr_storage *a)
{
	static const struct in6_addr any6;
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;

	if (a->ss_family == AF_INET)
		return in->sin_port || in->sin_addr.s_addr;
	return in6->sin6_port || memcmp(&in6->sin6_addr, &any6, sizeof(any6)) != 0;
}

static int fail(struct collect *c, const struct file_look *l, int err, const char *call)
{
	return op_fail(c->op, CKPT_E_SYSTEM, err, call, NULL, "pid %d (%s): %s", c->pid,
		c->tr->comm, l->at);
}

/* Return: 0; 1 the connection has ended just now; negative after op_fail() */
static int collect_ends(struct collect *c, const struct file_look *l, Ckpt__Tcp *m)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	/* what a connection leaves is a number that may be somebody else's */
	if (m->kind == CKPT__TCP__KIND__ENDED)
		return 0;
	if (getsockname(l->fd, (struct sockaddr *)&a, &len) < 0)
		return fail(c, l, errno, "getsockname");
	if (bound(&a) && tcp_end_set(&a, &m->local) < 0)
		return collect_oom(c);
	if (m->kind != CKPT__TCP__KIND__CONNECTED)
		return 0;
	len = sizeof(a);
	if (getpeername(l->fd, (struct sockaddr *)&a, &len) < 0)
		return errno == ENOTCONN ? 1 : fail(c, l, errno, "getpeername");
	return tcp_end_set(&a, &m->peer) < 0 ? collect_oom(c) : 0;
}

static int sock_int(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

static void collect_rooms(int fd, Ckpt__TcpState *s)
{
	s->send_room_bytes = (uint32_t)sock_int(fd, SO_SNDBUF);
	s->recv_room_bytes = (uint32_t)sock_int(fd, SO_RCVBUF);
	s->room_locks = (uint32_t)sock_int(fd, SO_BUF_LOCK);
}

/* Reading is over, and not as the peer has ended it. */
static bool shut_read(int fd, int state)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return (state == TCP_IS_ESTABLISHED || state == TCP_IS_FIN_WAIT1 ||
		       state == TCP_IS_FIN_WAIT2) &&
	       poll(&p, 1, 0) > 0 && p.revents & POLLRDHUP;
}

/* What was agreed on; the rest is told by finish(). */
static int collect_state(int fd, const struct tcp_info *info, Ckpt__Tcp *m)
{
	Ckpt__TcpState *s = m->state = msg_new(Ckpt__TcpState, CKPT__TCP_STATE__INIT);

	if (!s)
		return -ENOMEM;
	s->scaled = info->tcpi_options & TCPI_OPT_WSCALE;
	s->sack = info->tcpi_options & TCPI_OPT_SACK;
	s->timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
	s->send_scale = s->scaled ? info->tcpi_snd_wscale : 0;
	s->recv_scale = s->scaled ? info->tcpi_rcv_wscale : 0;
	collect_rooms(fd, s);
	s->shut_read = shut_read(fd, info->tcpi_state);
	return 0;
}

static int hold(struct tcp_hold *h, uint64_t id, int fd)
{
	int copy;

	if (vec_reserve(&h->v, &h->cap, h->n + 1, sizeof(*h->v)) < 0)
		return -ENOMEM;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	h->v[h->n++] = (struct tcp_held){.id = id, .fd = copy};
	return 0;
}

/* Where that can't be, nobody looks after connections that wait there. */
static int hold_listener(struct tcp_hold *h, uint64_t id, int fd)
{
	int copy;

	if (vec_reserve(&h->listeners, &h->cap_listeners, h->n_listeners + 1,
		    sizeof(*h->listeners)) < 0)
		return -ENOMEM;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		h->listeners[h->n_listeners++] = (struct tcp_held){.id = id, .fd = copy};
	return 0;
}

static int collect_connection(struct collect *c, uint64_t id, const struct file_look *l,
	const struct tcp_info *info, Ckpt__Tcp *m)
{
	int r = collect_state(l->fd, info, m);

	if (r == 0)
		r = hold(c->tree->tcp, id, l->fd);
	if (r == -EMFILE)
		return op_fail(c->op, CKPT_E_SPACE, EMFILE, "fcntl(F_DUPFD)",
			"raise the limit of open files (ulimit -n)",
			"pid %d (%s): %s: a connection is held until the program is dead", c->pid,
			c->tr->comm, l->at);
	return r < 0 ? collect_oom(c) : 0;
}

/* An error that waits to be told is gone once it is read, so it is not: it is told by what is known. */
static Ckpt__Tcp__Kind kind_of(int fd, const struct tcp_info *info, Ckpt__Tcp *m)
{
	struct pollfd p = {.fd = fd};

	if (info->tcpi_state == TCP_IS_LISTEN)
		return CKPT__TCP__KIND__LISTENING;
	if (info->tcpi_state == TCP_IS_SYN_SENT)
		return CKPT__TCP__KIND__CONNECTING;
	if (info->tcpi_state != TCP_IS_CLOSE)
		return CKPT__TCP__KIND__CONNECTED;
	if (poll(&p, 1, 0) > 0 && p.revents & POLLERR) {
		m->error = info->tcpi_options ? CKPT__TCP__ERROR__RESET
					      : CKPT__TCP__ERROR__CONNECTION_REFUSED;
		return CKPT__TCP__KIND__ENDED;
	}
	return sock_has_ended(fd) ? CKPT__TCP__KIND__ENDED : CKPT__TCP__KIND__UNCONNECTED;
}

int tcp_collect_unread(int fd, Ckpt__Tcp *m)
{
	int n = 0;
	ssize_t got;

	m->state = msg_new(Ckpt__TcpState, CKPT__TCP_STATE__INIT);
	if (!m->state)
		return -ENOMEM;
	collect_rooms(fd, m->state);
	if (ioctl(fd, SIOCINQ, &n) < 0 || n <= 0)
		return 0;
	m->state->received.data = malloc((size_t)n);
	if (!m->state->received.data)
		return -ENOMEM;
	got = recv(fd, m->state->received.data, (size_t)n, MSG_PEEK | MSG_DONTWAIT);
	m->state->received.len = got < 0 ? 0 : (size_t)got;
	return 0;
}

int tcp_collect_again(int fd, Ckpt__Tcp *m)
{
	struct sockaddr_storage peer = {0};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	if (info.tcpi_state == TCP_IS_SYN_SENT)
		return 0;
	m->kind = kind_of(fd, &info, m);
	if (m->state)
		protobuf_c_message_free_unpacked(&m->state->base, NULL);
	m->state = NULL;
	if (m->kind != CKPT__TCP__KIND__CONNECTED)
		return m->kind == CKPT__TCP__KIND__ENDED ? tcp_collect_unread(fd, m) : 0;
	len = sizeof(peer);
	if (!m->peer && getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return errno == ENOTCONN ? tcp_collect_again(fd, m) : -errno;
	if (!m->peer && tcp_end_set(&peer, &m->peer) < 0)
		return -ENOMEM;
	return collect_state(fd, &info, m);
}

static int collect_kind(struct collect *c, uint64_t id, const struct file_look *l, Ckpt__Tcp *m)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	struct file_verdict v = verdict(-1, l);
	int r;

	if (v.verdict == CKPT_REFUSED)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, v.advice, "pid %d (%s): %s: %s",
			c->pid, c->tr->comm, l->at, v.reason);
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
		/* MPTCP does not tell before it has an address */
		if (l->sock->protocol != IPPROTO_MPTCP)
			return fail(c, l, errno, "getsockopt(TCP_INFO)");
		info.tcpi_state = l->sock->listening ? TCP_IS_LISTEN : TCP_IS_CLOSE;
		info.tcpi_sacked = SOMAXCONN;
	}
	m->kind = kind_of(l->fd, &info, m);
	if (m->kind == CKPT__TCP__KIND__LISTENING)
		m->backlog = info.tcpi_sacked;
	r = collect_ends(c, l, m);
	if (r < 0)
		return r;
	if (r > 0) {
		r = tcp_collect_again(l->fd, m);
		return r < 0 ? fail(c, l, -r, "getsockopt(TCP_INFO)") : 0;
	}
	switch (m->kind) {
	case CKPT__TCP__KIND__LISTENING:
		return hold_listener(c->tree->tcp, id, l->fd) < 0 ? collect_oom(c) : 0;
	case CKPT__TCP__KIND__CONNECTED:
	case CKPT__TCP__KIND__CONNECTING:
		return collect_connection(c, id, l, &info, m);
	case CKPT__TCP__KIND__ENDED:
		return tcp_collect_unread(l->fd, m) < 0 ? collect_oom(c) : 0;
	default:
		return 0;
	}
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Tcp *m = msg_new(Ckpt__Tcp, CKPT__TCP__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	r = collect_kind(c, id, l, m);
	if (r == 0)
		r = tcp_keys_collect(c, l, m);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	r = socket_collect(c, id, l);
	return r < 0 ? r : collect_add_take(c, &res_tcp.type, id, m);
}

static const struct file_ops ops = {.match = match,
	.verdict = verdict,
	.collect = collect,
	.finish = tcp_finish,
	.open = tcp_open,
	.opened_all = tcp_opened_all};

/* What packets change that come and go when the program is not looking. */
static const char *const volatile_fields[] = {"state.timestamp", "state.snd_wl1", "state.snd_wnd",
	"state.max_window", "state.rcv_wnd", "state.rcv_wup", "waiting.state.timestamp",
	"waiting.state.snd_wl1", "waiting.state.snd_wnd", "waiting.state.max_window",
	"waiting.state.rcv_wnd", "waiting.state.rcv_wup", NULL};

const struct res res_tcp = {
	.type = {"tcp", SCOPE_FILE, &ckpt__tcp__descriptor, volatile_fields},
	.go = tcp_go,
	.file = &ops,
};
