/*
 * tcp_backlog_go.c - connections that nobody had accepted, at a restore: see kernel/tcp_backlog.h.
 *
 * A time stamp is what its client compares with those that it has had from us; where ours count from elsewhere
 * they are left out of the handshake: Linux takes segments without them, too.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "kernel/tcp_backlog.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_key.h"
#include "proto/socket.pb-c.h"
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
		.key = w->key,
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

static int put_all(struct tcp_backlog_go *g, int family, const Ckpt__Tcp *m)
{
	int r = 0;

	for (size_t i = 0; i < m->n_waiting; i++) {
		bool keep = kept(g, family, m->waiting[i]);
		struct tcp_waiting w;
		struct tcp_key key;
		int r2;

		waiting_of(g->p, family, m->waiting[i], &w);
		w.key = tcp_key_for(m, &w.peer, &key);
		r2 = keep ? tcp_backlog_put(g->inject4, g->inject6, &w, g->v, g->n)
			  : end(g, &w, g->p->req->tcp == CKPT_TCP_RESET);
		g->put += keep && r2 == 0;
		r = r < 0 ? r : r2;
	}
	return r;
}

/* Who listens on a port that several share is chosen by the kernel: they are looked at together. */
int tcp_backlog_go(struct tcp_backlog_go *g)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	for (size_t i = 0; i < g->n; i++)
		tcp_backlog_eager(&g->v[i]);
	while ((rec = model_next(g->p->model, &res_tcp.type, &pos))) {
		const Ckpt__Socket *s = model_get(g->p->model, &res_socket.type, rec->owner);
		const Ckpt__Tcp *m = (const void *)rec->msg;
		int r2 = m->n_waiting && plan_fd(g->p, rec->owner) >= 0 ? put_all(g, s->family, m)
									: 0;

		g->failed = r == 0 && r2 < 0 ? m : g->failed;
		r = r < 0 ? r : r2;
	}
	if (!tcp_backlog_await(g->v, g->n, g->put) && r == 0)
		r = -ETIMEDOUT;
	for (size_t i = 0; i < g->n; i++)
		tcp_backlog_deferring(&g->v[i]);
	return r;
}

int tcp_backlog_go_new(struct tcp_backlog_go *g, const struct plan *p)
{
	const struct model_rec *rec;
	size_t pos = 0, n = 0;

	*g = (struct tcp_backlog_go){.p = p, .inject4 = -EBADF, .inject6 = -EBADF};
	while ((rec = model_next(p->model, &res_tcp.type, &pos)))
		n += ((const Ckpt__Tcp *)(const void *)rec->msg)->kind ==
		     CKPT__TCP__KIND__LISTENING;
	g->v = calloc(n + 1, sizeof(*g->v));
	pos = 0;
	while (g->v && (rec = model_next(p->model, &res_tcp.type, &pos))) {
		const Ckpt__Tcp *m = (const void *)rec->msg;
		int fd = plan_fd(p, rec->owner);

		if (m->kind == CKPT__TCP__KIND__LISTENING && fd >= 0) {
			g->v[g->n++].fd = fd;
			g->failed = m->n_waiting ? m : g->failed;
		}
	}
	if (!g->failed)
		g->n = 0; /* nobody waits anywhere */
	return g->v ? 0 : -ENOMEM;
}

void tcp_backlog_go_done(struct tcp_backlog_go *g)
{
	free(g->v);
}
