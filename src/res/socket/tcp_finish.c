/*
 * tcp_finish.c - connections at a dump, when all of them are known: they are locked, and read.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "kernel/sock_diag.h"
#include "kernel/tcp_backlog.h"
#include "kernel/tcp_repair.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/file/seen.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

/* ---- what is in the connections ---- */

/* What was not sent yet; a FIN counts as a byte. */
static uint32_t unsent_of(const struct tcp_state *t, const Ckpt__TcpState *m)
{
	int unsent = 0;

	if (!t->send_len || ioctl(t->fd, SIOCOUTQNSD, &unsent) < 0 || unsent <= 0)
		return 0;
	return MIN((uint32_t)unsent - m->fin_sent, (uint32_t)t->send_len);
}

static void keep_ends(int state, Ckpt__TcpState *m)
{
	m->fin_received =
		state == TCP_IS_CLOSE_WAIT || state == TCP_IS_LAST_ACK || state == TCP_IS_CLOSING;
	m->fin_sent = state == TCP_IS_FIN_WAIT1 || state == TCP_IS_FIN_WAIT2 ||
		      state == TCP_IS_CLOSING || state == TCP_IS_LAST_ACK;
	m->fin_acked = state == TCP_IS_FIN_WAIT2;
	m->fins_crossed = state == TCP_IS_CLOSING;
}

/* The peer's reset came before the lock, or its end: only of the former is the program to be told. */
static int keep_broken(const struct tcp_state *t, Ckpt__Tcp *m)
{
	struct pollfd p = {.fd = t->fd};

	m->kind = CKPT__TCP__KIND__ENDED;
	m->error = poll(&p, 1, 0) > 0 && p.revents & POLLERR ? CKPT__TCP__ERROR__RESET
							     : CKPT__TCP__ERROR__NONE;
	m->state->received = msg_bytes(t->recv, t->recv_len);
	return t->recv_len && !m->state->received.data ? -ENOMEM : 0;
}

/* Sequence numbers of the queues' first bytes: a FIN stands behind the last. */
int tcp_state_keep(const struct tcp_state *t, Ckpt__TcpState *m)
{
	keep_ends(t->state, m);
	m->recv_seq = t->recv_seq - (uint32_t)t->recv_len - m->fin_received;
	m->send_seq = t->send_seq - (uint32_t)t->send_len - m->fin_sent;
	m->unsent_bytes = unsent_of(t, m);
	m->mss = t->mss;
	m->timestamp = t->timestamp;
	m->snd_wl1 = t->windows.snd_wl1;
	m->snd_wnd = t->windows.snd_wnd;
	m->max_window = t->windows.max_window;
	m->rcv_wnd = t->windows.rcv_wnd;
	m->rcv_wup = t->windows.rcv_wup;
	m->urgent = t->urgent;
	m->urgent_at = (uint32_t)t->urgent_at;
	m->urgent_read = t->urgent_read;
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

		if (m->kind != CKPT__TCP__KIND__CONNECTED)
			continue;
		if (s->v[i].err == -ENOMSG)
			return op_fail(t->op, CKPT_E_REFUSED, 0, NULL,
				"let the program read it (MSG_OOB), and what is before it",
				"pid %d (%s): fd %d: urgent data is unread, which kernels before Linux 6.9 do not let us see",
				f->of->pid, f->of->tr->comm, f->target_fd);
		if (s->v[i].err < 0)
			return op_fail(t->op,
				s->v[i].err == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM,
				-s->v[i].err, "setsockopt(TCP_REPAIR)", NULL,
				"pid %d (%s): fd %d: its connection", f->of->pid, f->of->tr->comm,
				f->target_fd);
		if ((s->v[i].state == TCP_IS_CLOSE ? keep_broken(&s->v[i], m)
						   : tcp_state_keep(&s->v[i], m->state)) < 0)
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

static int lock_add_all(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;

	h->lock.n = 0;
	for (size_t i = 0; i < h->n; i++) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, h->v[i].id);
		const Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->v[i].id);

		if (!h->v[i].reset && tcp_lock_add(&h->lock, s->family, m) < 0)
			return op_fail(
				t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu connections", h->n);
	}
	for (size_t i = 0; i < h->n_listeners; i++) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, h->listeners[i].id);
		const Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->listeners[i].id);

		if (tcp_lock_waiting(&h->lock, s->family, m) < 0)
			return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "a lock");
	}
	tcp_lock_sort(&h->lock);
	return 0;
}

/* What was received is read before the end is. */
static int end_one(struct tcp_hold *h, size_t i, Ckpt__Tcp *m)
{
	protobuf_c_message_free_unpacked(&m->local->base, NULL);
	protobuf_c_message_free_unpacked(&m->peer->base, NULL);
	protobuf_c_message_free_unpacked(&m->state->base, NULL);
	m->local = m->peer = NULL;
	m->state = NULL;
	m->kind = CKPT__TCP__KIND__ENDED;
	m->error = h->how == CKPT_TCP_RESET ? CKPT__TCP__ERROR__RESET : CKPT__TCP__ERROR__NONE;
	return tcp_collect_unread(h->v[i].fd, m);
}

/* The kernel resets them when the program dies. */
static size_t forget_waiting(struct collect_tree *t, const struct tcp_held *l)
{
	const Ckpt__Socket *s = model_get(t->model, &res_socket.type, l->id);
	Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, l->id);
	size_t kept = 0, n = m->n_waiting;

	for (size_t i = 0; i < n; i++)
		if (tcp_inside(&t->tcp->lock, s->family, m->waiting[i]))
			m->waiting[kept++] = m->waiting[i];
		else
			protobuf_c_message_free_unpacked(&m->waiting[i]->base, NULL);
	m->n_waiting = kept;
	return n - kept;
}

/* Those whose peer is not in the tree, if they are not to be kept. */
static int end_outside(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	size_t kept = 0, ended = 0;
	int r = 0;

	for (size_t i = 0; i < h->n && r == 0; i++) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, h->v[i].id);
		Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, h->v[i].id);

		if (!tcp_inside(&h->lock, s->family, m)) {
			h->v[i].reset = h->how == CKPT_TCP_RESET;
			r = end_one(h, i, m);
			ended++;
		}
		if (m->kind != CKPT__TCP__KIND__ENDED || h->v[i].reset)
			h->v[kept++] = h->v[i];
		else
			fd_close(h->v[i].fd);
	}
	for (size_t i = 0; i < h->n_listeners; i++)
		ended += forget_waiting(t, &h->listeners[i]);
	h->n = r < 0 ? h->n : kept;
	if (r == 0)
		op_info(t->op, "%zu connections to other programs are not kept", ended);
	return r < 0 ? op_fail(t->op, CKPT_E_SPACE, -r, NULL, NULL, "%zu connections", h->n) : 0;
}

/* Who begins to connect while the program stands would be reset when it dies: it tries again by itself. */
static int lock_listeners(struct collect_tree *t)
{
	struct tcp_lock *l = &t->tcp->lock;
	const struct model_rec *rec;
	size_t pos = 0;

	while (t->tcp->dies && (rec = model_next(t->model, &res_tcp.type, &pos))) {
		const Ckpt__Socket *s = model_get(t->model, &res_socket.type, rec->owner);
		const Ckpt__Tcp *m = (const void *)rec->msg;

		if (m->kind == CKPT__TCP__KIND__LISTENING &&
			tcp_lock_add(l, s->family, m) == -ENOMEM)
			return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "a lock");
	}
	return 0;
}

static int lock(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	int r = lock_add_all(t);

	if (r == 0 && h->how != CKPT_TCP_KEEP) {
		r = end_outside(t);
		if (r == 0)
			r = lock_add_all(t);
	}
	if (r == 0)
		r = lock_listeners(t);
	if (r == 0)
		tcp_lock_take(t->op, &h->lock);
	return r;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	return a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
				       : ((struct sockaddr_in *)&a)->sin_port;
}

/* Peers that wait for the last word of the handshake, or believe that they have said it. */
static uint32_t half_open(const struct sock_diag *diag, uint16_t port)
{
	uint32_t n = 0;

	for (size_t i = 0; diag && i < diag->n; i++) {
		const struct inet_diag_msg *d = diag->rows[i].msg;

		n += diag->rows[i].protocol == IPPROTO_TCP && d->idiag_state == TCP_IS_SYN_RECV &&
		     d->id.idiag_sport == port;
	}
	return n;
}

/* Whoever is about to be accepted: by the kernel, as far as that tells of it, or by the program. */
static void count_unaccepted(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;

	if (h->n_listeners) {
		socket_diag_row(t, AF_INET, IPPROTO_TCP, 0);
		socket_diag_row(t, AF_INET6, IPPROTO_TCP, 0);
	}
	for (size_t i = 0; i < h->n_listeners; i++) {
		const struct tcp_held *l = &h->listeners[i];
		int n = tcp_backlog_count(l->fd);

		if (n >= 0)
			h->unaccepted += (unsigned int)MAX(n - (int)l->taken, 0) +
					 half_open(t->diag, port_of(l->fd));
	}
}

static bool any_waiting(const struct tcp_hold *h)
{
	for (size_t i = 0; i < h->n_listeners; i++)
		if (tcp_backlog_count(h->listeners[i].fd) > 0)
			return true;
	return false;
}

/* Keys were collected when they had not ended yet. */
static void forget_keys(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(t->model, &res_tcp.type, &pos))) {
		Ckpt__Tcp *m = model_get(t->model, &res_tcp.type, rec->owner);

		if (m->kind == CKPT__TCP__KIND__ENDED)
			tcp_keys_forget(m);
	}
}

/* Who goes on is locked only while we look: its peers have to wait for every packet that is lost. */
int tcp_finish(struct collect_tree *t)
{
	struct tcp_hold *h = t->tcp;
	int r;

	if (!h->n && !h->n_listeners)
		return 0;
	r = h->dies ? tcp_check_shared(t) : 0;
	if (r == 0)
		r = tcp_connecting_peers(t);
	if (r == 0 && any_waiting(h))
		r = lock_add_all(t); /* to tell whose other end is here */
	if (r == 0 && any_waiting(h))
		r = tcp_backlog_collect(t);
	if (r == 0)
		r = lock(t);
	tcp_lock_done(&h->ports);
	if (r == 0)
		r = tcp_connecting_again(t);
	if (r == 0 && h->n)
		r = read_states(t);
	forget_keys(t);
	if (r == 0 && h->dies)
		count_unaccepted(t);
	if (r < 0 || !h->dies)
		tcp_hold_done(h);
	return r;
}
