/*
 * tcp_go.c - connections when all tasks of a restore are complete: packets begin to flow.
 *
 * An end of a connection that was half closed is told by segments what it had been told (see
 * kernel/tcp_inject.h), or says once more itself what it had said: a peer that knows answers again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/apart.h"
#include "kernel/nft.h"
#include "kernel/syscalls.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_key.h"
#include "kernel/tcp_repair.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* While the peer acknowledges more and more, and for who is heard late as the machine is very busy. */
#define HEAR_TRIES   5000
#define HEAR_EAGER   8
#define HEAR_STEP_US 100

struct going {
	const struct plan *p;
	struct nft_batch own, lasting; /* the ends of both locks */
	enum ckpt_tcp how;
	int inject4, inject6;
	struct tcp_backlog_go backlog;
	int r;                   /* the first failure of one of them, which is only warned of, */
	const Ckpt__Tcp *failed; /* and whose it is */
};

/* One connection. */
struct end {
	const struct going *g;
	int fd, family;
	const Ckpt__Tcp *m;
	const Ckpt__TcpState *s;
};

void tcp_rooms(int fd, const Ckpt__TcpState *s)
{
	const struct {
		int option, force;
		uint32_t bytes;
	} v[] = {{SO_SNDBUF, SO_SNDBUFFORCE, s->send_room_bytes},
		{SO_RCVBUF, SO_RCVBUFFORCE, s->recv_room_bytes}};
	uint32_t locks = s->room_locks, now = 0;
	socklen_t len = sizeof(now);

	/* before Linux 5.15 a size that is set never grows again */
	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &now, &len) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		int half = (int)MIN(v[i].bytes / 2, (uint32_t)INT32_MAX);

		setsockopt(fd, SOL_SOCKET, v[i].force, &half, sizeof(half));
	}
	setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, sizeof(locks));
}

/* The end of repair mode has taken it away. */
static void reuse_again(int fd, const Ckpt__Socket *s)
{
	for (size_t i = 0; i < s->n_options; i++)
		if (s->options[i]->level == SOL_SOCKET && s->options[i]->name == SO_REUSEADDR)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, s->options[i]->value.data,
				(socklen_t)s->options[i]->value.len);
}

/* What was not sent is written as the program has written it. */
static int send_rest(const struct end *e)
{
	const uint8_t *p = e->s->to_send.data + e->s->to_send.len - e->s->unsent_bytes;

	for (size_t left = e->s->unsent_bytes; left;) {
		ssize_t n = send(e->fd, p, left, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		left -= (size_t)n;
	}
	return 0;
}

/* ---- ends that were said, or heard ---- */

static uint32_t send_end(const struct end *e)
{
	return e->s->send_seq + (uint32_t)e->s->to_send.len;
}

static uint32_t recv_end(const struct end *e)
{
	return e->s->recv_seq + (uint32_t)e->s->received.len;
}

/* Both ends sign by the same key. */
static int inject(const struct end *e, struct tcp_segment seg, bool to_peer)
{
	struct sockaddr_storage local, peer;
	struct tcp_key key;

	tcp_end_get(e->family, e->m->local, &local);
	tcp_end_get(e->family, e->m->peer, &peer);
	tcp_plain_addr(&local);
	tcp_plain_addr(&peer);
	seg.from = to_peer ? &local : &peer;
	seg.to = to_peer ? &peer : &local;
	seg.key = tcp_key_for(e->m, &peer, &key);
	return tcp_inject(local.ss_family == AF_INET6 ? e->g->inject6 : e->g->inject4, &seg);
}

static int hear(const struct end *e, uint32_t ack, bool fin)
{
	uint32_t window = MIN(e->s->snd_wnd >> (e->s->send_scale & 31), (uint32_t)UINT16_MAX);
	struct tcp_segment seg = {
		.seq = recv_end(e), .ack = ack, .window = (uint16_t)window, .fin = fin};

	return inject(e, seg, false);
}

/*
 * One whose acknowledgement is older than the largest window is not taken (RFC 5961 5.2), and what was to be sent
 * may have been heard by now.
 */
static uint32_t acked(const struct end *e, int *ret_state)
{
	struct tcp_info info = {.tcpi_state = TCP_IS_CLOSE};
	socklen_t len = sizeof(info);

	getsockopt(e->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	*ret_state = info.tcpi_state;
	return e->s->send_seq + (uint32_t)info.tcpi_bytes_acked;
}

static int hear_end(const struct end *e)
{
	int r = 0;

	for (int i = 0; i < HEAR_TRIES && r == 0; i++) {
		int state;
		uint32_t ack = acked(e, &state);

		if (state != TCP_IS_ESTABLISHED && state != TCP_IS_FIN_WAIT1 &&
			state != TCP_IS_FIN_WAIT2)
			return 0;
		if (i >= HEAR_EAGER)
			usleep(HEAR_STEP_US);
		r = hear(e, ack, true);
	}
	return r < 0 ? r : -ETIMEDOUT;
}

/* Its own end was acknowledged: nothing has to be sent. Still in repair mode. */
static int end_acked(const struct end *e)
{
	int queue = TCP_QUEUE_SEND;

	if (setsockopt(e->fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
		shutdown(e->fd, SHUT_WR) < 0)
		return -errno;
	return hear(e, send_end(e) + 1, false);
}

static int ends_before(const struct end *e)
{
	int r = 0;

	if (e->s->fin_acked)
		r = end_acked(e);
	if (r == 0 && e->s->fin_received && !e->s->fins_crossed)
		r = hear_end(e);
	return r;
}

static int ends_after(const struct end *e)
{
	int r = 0;

	if (e->s->fin_sent && !e->s->fin_acked && shutdown(e->fd, SHUT_WR) < 0)
		r = -errno;
	if (r == 0 && e->s->fins_crossed)
		r = hear_end(e);
	if (e->s->shut_read && shutdown(e->fd, SHUT_RD) < 0)
		r = r < 0 ? r : -errno;
	return r;
}

/* ---- connections that are not kept ---- */

/* As if each side had closed it: ours first, as what is acknowledged then the peer has not sent. */
static int close_both(const struct end *e)
{
	if (!e->s->fin_sent && shutdown(e->fd, SHUT_WR) < 0)
		return -errno;
	return e->s->fin_received ? 0 : hear_end(e);
}

/* As if each side had reset it. What the peer expects next it tells, if that is something else. */
static int reset_both(const struct end *e)
{
	uint32_t next = send_end(e) + e->s->fin_sent;
	uint32_t expected = recv_end(e) + e->s->fin_received;
	struct tcp_segment seg = {.seq = next, .ack = expected, .rst = true};
	int r = inject(e, seg, true), r2;

	seg.seq = expected;
	seg.ack = e->s->send_seq;
	r2 = inject(e, seg, false);
	return r < 0 ? r : r2;
}

static int end_both(const struct end *e)
{
	if (e->g->how == CKPT_TCP_KEEP || tcp_inside(&e->g->p->tcp->lock, e->family, e->m))
		return 0;
	return e->g->how == CKPT_TCP_CLOSE ? close_both(e) : reset_both(e);
}

/* ---- all of them ---- */

/*
 * The probe is numbered as what was sent before, so the peer does not take its acknowledgement; but the kernel
 * believes that it was told. At the next dump nobody would know any more which byte it waits for (see tcp_late.c).
 */
static int end_repair(const struct end *e)
{
	bool untold = e->s->rcv_wup != recv_end(e) + e->s->fin_received;

	return tcp_repair(e->fd, untold && !e->s->to_send.len ? -1 : 0);
}

static int go_on(const struct end *e, const Ckpt__Socket *sock)
{
	int r = ends_before(e), r2 = end_repair(e);

	reuse_again(e->fd, sock);
	if (r == 0)
		r = r2;
	if (r == 0)
		r = send_rest(e);
	if (r == 0)
		r = ends_after(e);
	if (r == 0)
		r = end_both(e);
	tcp_rooms(e->fd, e->s);
	return r;
}

/*
 * Whatever comes of it the program will be told. What was asked behind the lock would be repeated after a second only:
 * it is asked anew.
 */
static int connect_now(const struct end *e)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int flags = fcntl(e->fd, F_GETFL), broken_off;
	struct sockaddr_storage peer;
	socklen_t len = tcp_end_get(e->family, e->m->peer, &peer), n = sizeof(broken_off);

	if (!len || flags < 0)
		return -EINVAL;
	fcntl(e->fd, F_SETFL, flags | O_NONBLOCK);
	connect(e->fd, &none, sizeof(none));
	getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &broken_off, &n);
	connect(e->fd, (struct sockaddr *)&peer, len);
	fcntl(e->fd, F_SETFL, flags);
	return 0;
}

static int go_one(const struct going *g, const struct model_rec *rec, int fd)
{
	const Ckpt__Socket *sock = model_get(g->p->model, &res_socket.type, rec->owner);
	const Ckpt__Tcp *m = (const void *)rec->msg;
	struct end e = {.g = g, .fd = fd, .family = sock->family, .m = m, .s = m->state};

	switch (m->kind) {
	case CKPT__TCP__KIND__CONNECTED:
		return go_on(&e, sock);
	case CKPT__TCP__KIND__CONNECTING:
		return connect_now(&e);
	default:
		return 0;
	}
}

static void unlock(struct going *g)
{
	int nft = g->p->tcp->lock.nft;

	if (nft < 0)
		return;
	nft_send(nft, &g->own);
	nft_send(nft, &g->lasting); /* there is none, if the dump has let the program go on */
}

static void note(struct going *g, const Ckpt__Tcp *m, int r)
{
	if (r < 0 && g->r == 0) {
		g->r = r;
		g->failed = m;
	}
}

/* Apart: the locks go and all connections go on. */
static int go(void *arg)
{
	struct going *g = arg;
	const struct model_rec *rec;
	size_t pos = 0;
	int r;

	r = g->backlog.n ? tcp_backlog_go(&g->backlog) : 0;
	note(g, g->backlog.failed, r);
	unlock(g);
	while ((rec = model_next(g->p->model, &res_tcp.type, &pos))) {
		int fd = plan_fd(g->p, rec->owner);

		if (fd >= 0)
			note(g, (const void *)rec->msg, go_one(g, rec, fd));
	}
	return 0;
}

/* Segments are needed for those that have heard an end. Return: 0; negative after op_fail() */
static int open_inject(struct going *g)
{
	const struct model_rec *rec;
	size_t pos = 0;
	bool any = false;

	while ((rec = model_next(g->p->model, &res_tcp.type, &pos))) {
		const Ckpt__Tcp *m = (const void *)rec->msg;

		any |= m->n_waiting > 0 ||
		       (m->state && (m->state->fin_received || m->state->fin_acked ||
					    g->how != CKPT_TCP_KEEP));
	}
	if (!any)
		return 0;
	g->inject4 = tcp_inject_open(AF_INET);
	g->inject6 = tcp_inject_open(AF_INET6); /* a machine may not have it */
	if (g->inject4 == -EPERM)
		return op_fail(g->p->op, CKPT_E_PRIVILEGE, EPERM, "socket",
			"run as root: this takes CAP_NET_RAW",
			"connections that are half closed, not accepted yet, or to be closed");
	return 0;
}

int tcp_go(struct plan *p)
{
	struct going g = {.p = p, .how = p->req->tcp, .inject4 = -EBADF, .inject6 = -EBADF};
	char text[TCP_TEXT_MAX];
	int r;

	if (!p->tcp->done)
		return 0;
	r = open_inject(&g);
	if (r == 0 && tcp_backlog_go_new(&g.backlog, p) < 0)
		r = op_fail(p->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the connections");
	if (r < 0) {
		tcp_backlog_go_done(&g.backlog);
		return r;
	}
	g.backlog.inject4 = g.inject4;
	g.backlog.inject6 = g.inject6;
	netlock_build_removal(&g.own, p->tcp->lock.name);
	netlock_build_removal(&g.lasting, p->tcp->name);
	r = apart(go, &g);
	nft_done(&g.own);
	nft_done(&g.lasting);
	tcp_backlog_go_done(&g.backlog);
	fd_close(g.inject4);
	fd_close(g.inject6);
	if (r < 0)
		return op_fail(p->op, CKPT_E_SYSTEM, -r, "clone", NULL, "the connections");
	if (g.r < 0)
		op_warn(p->op, "%s: %s: the connection may be broken", tcp_text(g.failed, text),
			strerror(-g.r));
	tcp_late(p);
	return 0;
}

void tcp_plan_init(struct tcp_plan *p)
{
	*p = (struct tcp_plan){.lock = {.nft = -EBADF}};
}

void tcp_plan_done(struct tcp_plan *p)
{
	tcp_lock_done(&p->lock);
}
