/*
 * tcp_late.c - connections that are there again: what their peers have sent meanwhile comes at once.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "kernel/tcp_hasten.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

/* A peer that has lost packets to a dump of a moment ago still waits longer than this absence tells. */
#define TIMES_MIN 6U

uint64_t tcp_away_ns(uint64_t since_ns)
{
	uint64_t now = clock_ns(CLOCK_REALTIME);

	return now > since_ns ? now - since_ns : 0;
}

/* Its peer knows what we had acknowledged at the dump: all that was received, or less. */
static int hasten(struct tcp_hasten *h, int family, const Ckpt__Tcp *m, unsigned int times)
{
	const Ckpt__TcpState *s = m->state;
	uint32_t next = s->recv_seq + (uint32_t)s->received.len + s->fin_received;
	struct sockaddr_storage local, peer;
	int r = 0;

	if (!tcp_end_get(family, m->local, &local) || !tcp_end_get(family, m->peer, &peer))
		return 0;
	for (unsigned int i = 0; r == 0 && i < times; i++) {
		r = tcp_hasten(h, &local, &peer, next);
		if (r == 0 && s->rcv_wup != next)
			r = tcp_hasten(h, &local, &peer, s->rcv_wup);
	}
	return r;
}

void tcp_late(const struct plan *p)
{
	unsigned int times = MAX(1 + tcp_hasten_times(p->tcp->away_ns), TIMES_MIN);
	struct tcp_hasten h = {.four = -EBADF, .six = -EBADF};
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r != -EPERM && (rec = model_next(p->model, &res_tcp.type, &pos))) {
		const Ckpt__Socket *s = model_get(p->model, &res_socket.type, rec->owner);
		const Ckpt__Tcp *m = (const void *)rec->msg;

		if (plan_fd(p, rec->owner) < 0)
			continue;
		if (m->kind == CKPT__TCP__KIND__CONNECTED)
			r = hasten(&h, s->family, m, times);
		for (size_t i = 0; i < m->n_waiting; i++)
			r = hasten(&h, s->family, m->waiting[i], times);
	}
	fd_close(h.four);
	fd_close(h.six);
}
