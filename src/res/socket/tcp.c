/*
 * tcp.c - TCP sockets at a dump.
 *
 * What a socket is TCP_INFO tells: its state, and what options were agreed on. Queues and sequence numbers
 * of connections are read when all of them are known, and locked: the two ends of one that is inside
 * the tree, and what the peer of another believes, then fit together.
 */
#include "res/socket/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "kernel/probe.h"
#include "kernel/tcp_repair.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/file/seen.h"
#include "util/cleanup.h"
#include "util/vec.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* Those of the kernel (net/tcp_states.h), which netinet/tcp.h has too, but not beside linux/tcp.h. */
enum {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK,
	LISTEN,
	CLOSING
};

static bool match(const struct file_look *l)
{
	return l->sock && l->sock->type == SOCK_STREAM && l->sock->protocol == IPPROTO_TCP &&
	       (l->sock->family == AF_INET || l->sock->family == AF_INET6);
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
	switch (l->sock->tcp_state) {
	case 0:
	case CLOSE:
	case LISTEN:
		return ok;
	case ESTABLISHED:
		break;
	default:
		no.reason = "connections that are being opened or closed are not saved yet";
		no.advice = "dump it later";
		return no;
	}
	if (!kernel_has(FEATURE_CAP_NET_ADMIN)) {
		no.reason = "an established connection takes CAP_NET_ADMIN";
		no.advice = "run as root";
		return no;
	}
	return ok;
}

/* ---- addresses ---- */

int tcp_end_set(const struct sockaddr_storage *a, Ckpt__TcpEnd **ret)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;
	bool six = a->ss_family == AF_INET6;
	char text[INET6_ADDRSTRLEN] = "";
	Ckpt__TcpEnd *m = msg_new(Ckpt__TcpEnd, CKPT__TCP_END__INIT);

	if (!m)
		return -ENOMEM;
	inet_ntop(a->ss_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text,
		sizeof(text));
	m->port = ntohs(six ? in6->sin6_port : in->sin_port);
	m->scope = six ? in6->sin6_scope_id : 0;
	m->flow = six ? in6->sin6_flowinfo : 0;
	m->ip = strdup(text);
	*ret = m;
	return m->ip ? 0 : -ENOMEM;
}

socklen_t tcp_end_get(int family, const Ckpt__TcpEnd *m, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;
	bool six = family == AF_INET6;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	if (!m)
		return six ? sizeof(*in6) : sizeof(*in);
	if (m->port > UINT16_MAX ||
		inet_pton(family, m->ip, six ? (void *)&in6->sin6_addr : &in->sin_addr) != 1)
		return 0;
	if (!six) {
		in->sin_port = htons((uint16_t)m->port);
		return sizeof(*in);
	}
	in6->sin6_port = htons((uint16_t)m->port);
	in6->sin6_scope_id = m->scope;
	in6->sin6_flowinfo = m->flow;
	return sizeof(*in6);
}

static bool bound(const struct sockaddr_storage *a)
{
	static const struct in6_addr any6;
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;

	if (a->ss_family == AF_INET)
		return in->sin_port || in->sin_addr.s_addr;
	return in6->sin6_port || memcmp(&in6->sin6_addr, &any6, sizeof(any6)) != 0;
}

/* ---- collecting ---- */

static int fail(struct collect *c, const struct file_look *l, int err, const char *call)
{
	return op_fail(c->op, CKPT_E_SYSTEM, err, call, NULL, "pid %d (%s): %s", c->pid,
		c->tr->comm, l->at);
}

static int collect_ends(struct collect *c, const struct file_look *l, Ckpt__Tcp *m)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(l->fd, (struct sockaddr *)&a, &len) < 0)
		return fail(c, l, errno, "getsockname");
	if (bound(&a) && tcp_end_set(&a, &m->local) < 0)
		return collect_oom(c);
	if (m->kind != CKPT__TCP__KIND__CONNECTED)
		return 0;
	len = sizeof(a);
	if (getpeername(l->fd, (struct sockaddr *)&a, &len) < 0)
		return fail(c, l, errno, "getpeername");
	return tcp_end_set(&a, &m->peer) < 0 ? collect_oom(c) : 0;
}

static int sock_int(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

/* What was agreed on; the rest is told by finish(). */
static int collect_state(const struct file_look *l, const struct tcp_info *info, Ckpt__Tcp *m)
{
	Ckpt__TcpState *s = m->state = msg_new(Ckpt__TcpState, CKPT__TCP_STATE__INIT);

	if (!s)
		return -ENOMEM;
	s->scaled = info->tcpi_options & TCPI_OPT_WSCALE;
	s->sack = info->tcpi_options & TCPI_OPT_SACK;
	s->timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
	s->send_scale = s->scaled ? info->tcpi_snd_wscale : 0;
	s->recv_scale = s->scaled ? info->tcpi_rcv_wscale : 0;
	s->send_room_bytes = (uint32_t)sock_int(l->fd, SO_SNDBUF);
	s->recv_room_bytes = (uint32_t)sock_int(l->fd, SO_RCVBUF);
	s->room_locks = (uint32_t)sock_int(l->fd, SO_BUF_LOCK);
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

static int collect_connection(struct collect *c, uint64_t id, const struct file_look *l,
	const struct tcp_info *info, Ckpt__Tcp *m)
{
	int r = collect_state(l, info, m);

	if (r == 0)
		r = hold(c->tree->tcp, id, l->fd);
	if (r == -EMFILE)
		return op_fail(c->op, CKPT_E_SPACE, EMFILE, "fcntl(F_DUPFD)",
			"raise the limit of open files (ulimit -n)",
			"pid %d (%s): %s: a connection is held until the program is dead", c->pid,
			c->tr->comm, l->at);
	return r < 0 ? collect_oom(c) : 0;
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
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return fail(c, l, errno, "getsockopt(TCP_INFO)");
	m->kind = info.tcpi_state == LISTEN  ? CKPT__TCP__KIND__LISTENING
		  : info.tcpi_state == CLOSE ? CKPT__TCP__KIND__UNCONNECTED
					     : CKPT__TCP__KIND__CONNECTED;
	if (m->kind == CKPT__TCP__KIND__LISTENING)
		m->backlog = info.tcpi_sacked;
	r = collect_ends(c, l, m);
	if (r == 0 && m->kind == CKPT__TCP__KIND__CONNECTED)
		r = collect_connection(c, id, l, &info, m);
	return r;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Tcp *m = msg_new(Ckpt__Tcp, CKPT__TCP__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	r = collect_kind(c, id, l, m);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return r;
	}
	r = socket_collect(c, id, l);
	return r < 0 ? r : collect_add_take(c, &res_tcp.type, id, m);
}

/* ---- when all are known ---- */

/* Sequence numbers of the queues' first bytes: a FIN stands behind the last. */
static int keep_state(const struct tcp_state *t, Ckpt__TcpState *m)
{
	int unsent = 0;

	m->recv_seq = t->recv_seq - (uint32_t)t->recv_len - m->fin_received;
	m->send_seq = t->send_seq - (uint32_t)t->send_len - m->fin_sent;
	if (t->send_len && ioctl(t->fd, SIOCOUTQNSD, &unsent) == 0 && unsent > 0)
		m->unsent_bytes = MIN((uint32_t)unsent, (uint32_t)t->send_len);
	m->mss = t->mss;
	m->timestamp = t->timestamp;
	m->snd_wl1 = t->windows.snd_wl1;
	m->snd_wnd = t->windows.snd_wnd;
	m->max_window = t->windows.max_window;
	m->rcv_wnd = t->windows.rcv_wnd;
	m->rcv_wup = t->windows.rcv_wup;
	m->received = msg_bytes(t->recv, t->recv_len);
	m->to_send = msg_bytes(t->send, t->send_len);
	return (t->recv_len && !m->received.data) || (t->send_len && !m->to_send.data) ? -ENOMEM
										       : 0;
}

static int keep_states(struct collect_tree *t, const struct tcp_states *s)
{
	for (size_t i = 0; i < s->n; i++) {
		uint64_t id = t->tcp->v[i].id;
		const struct collect_file *f = &t->files[id - 1];
		Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, id);

		if (s->v[i].err < 0)
			return op_fail(t->op,
				s->v[i].err == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM,
				-s->v[i].err, "setsockopt(TCP_REPAIR)", NULL,
				"pid %d (%s): fd %d: its connection", f->of->pid, f->of->tr->comm,
				f->target_fd);
		if (keep_state(&s->v[i], m->state) < 0)
			return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL,
				"the queues of a connection");
	}
	return 0;
}

static int read_states(struct collect_tree *t)
{
	const struct tcp_hold *h = t->tcp;
	_cleanup_free_ struct tcp_state *v = calloc(h->n, sizeof(*v));
	struct tcp_states s = {.v = v, .n = h->n};
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; v && i < h->n; i++)
		v[i].fd = h->v[i].fd;
	if (r == 0)
		r = tcp_states_read(&s);
	r = r < 0 ? op_fail(t->op, CKPT_E_SPACE, -r, NULL, NULL, "%zu connections", h->n)
		  : keep_states(t, &s);
	tcp_states_done(&s);
	return r;
}

static int lock(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;

	for (size_t i = 0; i < h->n; i++) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, h->v[i].id);
		const Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->v[i].id);

		if (tcp_lock_add(&h->lock, s->family, m) < 0)
			return op_fail(
				t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu connections", h->n);
	}
	tcp_lock_take(t->op, &h->lock);
	return 0;
}

/* Who goes on is locked only while we look: its peers have to wait for every packet that is lost. */
static int finish(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	int r;

	if (!h->n)
		return 0;
	r = lock(t);
	if (r == 0)
		r = read_states(t);
	if (r < 0 || !h->dies)
		tcp_hold_done(h);
	return r;
}

static const struct file_ops ops = {.match = match,
	.verdict = verdict,
	.collect = collect,
	.finish = finish,
	.open = tcp_open,
	.opened_all = tcp_opened_all};

/* What packets change that come and go when the program is not looking. */
static const char *const volatile_fields[] = {"state.timestamp", "state.snd_wl1", "state.snd_wnd",
	"state.max_window", "state.rcv_wnd", "state.rcv_wup", NULL};

const struct res res_tcp = {
	.type = {"tcp", SCOPE_FILE, &ckpt__tcp__descriptor, volatile_fields},
	.go = tcp_go,
	.file = &ops,
};
