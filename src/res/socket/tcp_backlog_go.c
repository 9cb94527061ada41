/*
 * tcp_backlog_go.c - connections that nobody had accepted, at a restore: see kernel/tcp_backlog.h.
 *
 * A time stamp is what its client compares with those that it has had from us; where ours count from elsewhere
 * they are left out of the handshake: Linux takes segments without them, too.
 */
#include <errno.h>
#include <netinet/in.h>

#include "kernel/tcp_backlog.h"
#include "kernel/tcp_inject.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"

static void waiting_of(
	const struct plan *p, int family, const Ckpt__Tcp *m, struct tcp_waiting *ret)
{
	const Ckpt__TcpState *s = m->state;

	*ret = (struct tcp_waiting){
		.state = {.fd = -EBADF,
			.send_seq = s->send_seq,
			.recv_seq = s->recv_seq + (uint32_t)s->received.len + s->fin_received,
			.mss = s->mss,
			.windows = {.snd_wnd = s->snd_wnd},
			.recv = s->received.data,
			.recv_len = s->received.len},
		.send_scale = (uint8_t)s->send_scale,
		.recv_scale = (uint8_t)s->recv_scale,
		.scaled = s->scaled,
		.sack = s->sack,
		.timestamps = s->timestamps && p->tcp->same_clock,
		.fin = s->fin_received};
	tcp_end_get(family, m->local, &ret->local);
	tcp_end_get(family, m->peer, &ret->peer);
}

/* Its client is told of the end, and the program never hears of it. */
static int end(const struct tcp_backlog_go *g, const struct tcp_waiting *w, bool reset)
{
	struct sockaddr_storage local = w->local, peer = w->peer;
	struct tcp_segment s = {.from = &local,
		.to = &peer,
		.seq = w->state.send_seq,
		.ack = w->state.recv_seq,
		.window = UINT16_MAX,
		.fin = !reset,
		.rst = reset};

	tcp_plain_addr(&local);
	tcp_plain_addr(&peer);
	return tcp_inject(local.ss_family == AF_INET6 ? g->inject6 : g->inject4, &s);
}

static bool kept(const struct tcp_backlog_go *g, int family, const Ckpt__Tcp *m)
{
	return g->p->req->tcp == CKPT_TCP_KEEP || tcp_inside(&g->p->tcp->lock, family, m);
}

int tcp_backlog_go(const struct tcp_backlog_go *g, int fd, int family, const Ckpt__Tcp *m)
{
	int seconds, want = 0, r = 0;

	if (!m->n_waiting)
		return 0;
	seconds = tcp_backlog_eager(fd);
	for (size_t i = 0; i < m->n_waiting; i++) {
		bool keep = kept(g, family, m->waiting[i]);
		struct tcp_waiting w;
		int r2;

		waiting_of(g->p, family, m->waiting[i], &w);
		r2 = keep ? tcp_backlog_put(g->inject4, g->inject6, &w)
			  : end(g, &w, g->p->req->tcp == CKPT_TCP_RESET);
		want += keep && r2 == 0;
		if (r2 == 0 && !tcp_backlog_await(fd, want))
			r2 = -ETIMEDOUT;
		r = r < 0 ? r : r2;
	}
	tcp_backlog_deferring(fd, seconds);
	return r;
}
