/*
 * tcp_open.c - TCP sockets at a restore.
 *
 * First all sockets are bound, then those that listened listen, then connections are made: a port that
 * many have in common lets others in only in that order. A connection is made in repair mode, which
 * overrides what is said of sharing a port. It stays in that mode until all tasks are complete, so a
 * restore that fails leaves the lock and sends nothing: it can be tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "image/image.h"
#include "kernel/boot_id.h"
#include "kernel/tcp_repair.h"
#include "kernel/tcp_timewait.h"
#include "proto/core.pb-c.h"
#include "proto/socket.pb-c.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define ROOM_SPARE (64UL * 1024)

const char *tcp_text(const Ckpt__Tcp *m, char buf[TCP_TEXT_MAX])
{
	const Ckpt__TcpEnd *v[] = {m->local, m->peer};
	size_t n = (size_t)snprintf(buf, TCP_TEXT_MAX, "TCP");

	for (size_t i = 0; i < 2 && n < TCP_TEXT_MAX; i++)
		if (v[i])
			n += (size_t)snprintf(buf + n, TCP_TEXT_MAX - n,
				strchr(v[i]->ip, ':') ? "%s[%.50s]:%u" : "%s%.50s:%u",
				i ? " -> " : " ", v[i]->ip, v[i]->port);
	return buf;
}

int tcp_open_fail(struct open_ctx *o, const Ckpt__Tcp *m, int err, const char *call)
{
	bool taken = err == EADDRINUSE || err == EADDRNOTAVAIL;
	char text[TCP_TEXT_MAX];

	return op_fail(o->op,
		taken          ? CKPT_E_CONFLICT
		: err == EPERM ? CKPT_E_PRIVILEGE
			       : CKPT_E_SYSTEM,
		err, call,
		err == EADDRINUSE      ? "end what uses the port, or wait for a minute if that has "
					 "just ended (ss -tan)"
		: err == EADDRNOTAVAIL ? "this machine has to have that address, and no connection "
					 "like this one"
		: err == EPERM         ? "run as root: connections take CAP_NET_ADMIN"
				       : NULL,
		"%s", tcp_text(m, text));
}

static int fail_image(struct open_ctx *o, uint64_t id)
{
	return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
		"file %llu: a TCP socket without a proper address or state",
		(unsigned long long)id);
}

/* ---- first ---- */

/*
 * The port of one that connects is shared with other connections of this machine, as the kernel does when
 * it chooses one: who binds may do so in repair mode only, whose end takes SO_REUSEADDR away.
 */
static int bind_shared(int fd, const struct sockaddr_storage *local, socklen_t len)
{
	int reuse = 0, r;
	socklen_t n = sizeof(reuse);
	bool repair =
		getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &n) == 0 && tcp_repair(fd, 1) == 0;

	r = bind(fd, (const struct sockaddr *)local, len) < 0 ? -errno : 0;
	if (repair)
		tcp_repair(fd, -1);
	if (repair && reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	return r;
}

/* It may have had connections that have ended meanwhile, or before. */
static int bind_again(int fd, const struct sockaddr_storage *local, socklen_t len)
{
	int r = bind(fd, (const struct sockaddr *)local, len) < 0 ? -errno : 0;

	if (r == -EADDRINUSE && tcp_timewait_end(local) > 0)
		r = bind(fd, (const struct sockaddr *)local, len) < 0 ? -errno : 0;
	return r;
}

int tcp_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Tcp *m = (const void *)rec->msg;
	_cleanup_close_ int fd = socket_new(o, id);
	struct sockaddr_storage local;
	const Ckpt__Socket *s;
	socklen_t len;
	int r;

	(void)file_record;
	if (fd < 0)
		return fd;
	r = tcp_map(o);
	if (r < 0)
		return r;
	if (m->kind == CKPT__TCP__KIND__ENDED) {
		r = tcp_ended_open(o, m, fd);
		return r < 0 ? r : TAKE_FD(fd);
	}
	s = socket_record(o, id);
	r = tcp_keys_set(o, m, s->family, fd);
	if (r < 0)
		return r;
	if (m->kind == CKPT__TCP__KIND__CONNECTED || !m->local)
		return TAKE_FD(fd);
	len = tcp_end_get(s->family, m->local, &local);
	if (!len)
		return fail_image(o, id);
	if (m->kind == CKPT__TCP__KIND__CONNECTING)
		r = bind_shared(fd, &local, len);
	else
		r = bind_again(fd, &local, len);
	return r < 0 ? tcp_open_fail(o, m, -r, "bind") : TAKE_FD(fd);
}

/* ---- then ---- */

static bool state_ok(const Ckpt__Tcp *m)
{
	const Ckpt__TcpState *s = m->state;

	return m->local && m->peer && s && s->unsent_bytes <= s->to_send.len &&
	       (!s->urgent || s->urgent_at < s->received.len) && s->send_scale <= TCP_SCALE_MAX &&
	       s->recv_scale <= TCP_SCALE_MAX;
}

static bool waiting_ok(const Ckpt__Tcp *l, int family)
{
	struct sockaddr_storage a;

	for (size_t i = 0; i < l->n_waiting; i++) {
		const Ckpt__Tcp *m = l->waiting[i];

		if (!state_ok(m) || m->kind != CKPT__TCP__KIND__CONNECTED ||
			!tcp_end_get(family, m->local, &a) || !tcp_end_get(family, m->peer, &a))
			return false;
	}
	return true;
}

static int listen_again(struct open_ctx *o, uint64_t id, const Ckpt__Tcp *m, int fd)
{
	if (!waiting_ok(m, socket_record(o, id)->family))
		return fail_image(o, id);
	return listen(fd, (int)MIN(m->backlog, (uint32_t)INT32_MAX)) < 0
		       ? tcp_open_fail(o, m, errno, "listen")
		       : 0;
}

/*
 * The answer may come at once: so it is asked when all is ready, see tcp_go.c. Until then it asks behind the lock:
 * whoever waits in poll(2) is put there before, and must not find a socket that nobody has connected.
 */
static int connect_later(struct open_ctx *o, uint64_t id, const Ckpt__Tcp *m, int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = m->peer ? tcp_end_get(socket_record(o, id)->family, m->peer, &peer) : 0;

	if (!len)
		return fail_image(o, id);
	if (o->plan->tcp->lock.nft >= 0)
		connect(fd, (struct sockaddr *)&peer, len);
	return 0;
}

static int connect_again(struct open_ctx *o, uint64_t id, const Ckpt__Tcp *m, int fd)
{
	const Ckpt__Socket *sock = socket_record(o, id);
	struct sockaddr_storage local, peer;
	const Ckpt__TcpState *s = m->state;
	struct tcp_again a = {.local = (void *)&local, .peer = (void *)&peer};
	const char *call;
	int r;

	if (!state_ok(m) || !(a.len = tcp_end_get(sock->family, m->local, &local)) ||
		!tcp_end_get(sock->family, m->peer, &peer))
		return fail_image(o, id);
	a.send_first = s->send_seq;
	a.recv_first = s->recv_seq;
	a.mss = s->mss;
	a.timestamp = s->timestamp;
	a.scaled = s->scaled;
	a.send_scale = (uint8_t)s->send_scale;
	a.recv_scale = (uint8_t)s->recv_scale;
	a.sack = s->sack;
	a.timestamps = s->timestamps;
	a.windows = (struct tcp_windows){.snd_wl1 = s->snd_wl1,
		.snd_wnd = s->snd_wnd,
		.max_window = s->max_window,
		.rcv_wnd = s->rcv_wnd,
		.rcv_wup = s->rcv_wup - s->fin_received}; /* that is to come once more */
	a.recv = s->received.data;
	a.recv_len = s->urgent ? s->urgent_at : s->received.len;
	tcp_urgent_windows(s, &a.windows);
	a.send = s->to_send.data;
	a.send_len = s->to_send.len - s->unsent_bytes;
	r = tcp_again_make(fd, &a, &call);
	if (r < 0)
		return tcp_open_fail(o, m, -r, call);
	r = s->urgent ? tcp_urgent_again(m, sock->family, fd) : 0;
	if (r < 0)
		return tcp_open_fail(o, m, -r, "urgent data");
	return s->unsent_bytes ? tcp_room(fd, SO_SNDBUF, 2 * s->to_send.len + ROOM_SPARE) : 0;
}

/* All of one kind, in the order of the image. */
static int each(struct open_ctx *o, Ckpt__Tcp__Kind kind,
	int (*fn)(struct open_ctx *o, uint64_t id, const Ckpt__Tcp *m, int fd))
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(o->model, &res_tcp.type, &pos))) {
		const Ckpt__Tcp *m = (const void *)rec->msg;
		int fd = plan_fd(o->plan, rec->owner);

		if (fd < 0)
			continue;
		if (m->kind == kind && fn)
			r = fn(o, rec->owner, m, fd);
		if (r == 0 && m->kind == kind)
			r = socket_options(o, rec->owner, fd, SOCKOPT_BOUND);
		if (r == 0 && m->kind == kind)
			r = socket_options(o, rec->owner, fd, SOCKOPT_LAST);
		if (r == 0 && m->kind == kind)
			r = socket_flags(o, rec->owner, fd);
	}
	return r;
}

/* What TCP's time stamps count from is another with each start of the machine, and for each pair of addresses. */
static bool same_clock(const struct open_ctx *o)
{
	const char *then = image_manifest(o->image)->boot_id;
	char now[BOOT_ID_LEN];

	boot_id_read(now);
	return !o->req->tcp_map && then && *then && strcmp(now, then) == 0;
}

/* A lock that stays is there, or the image was made by a dump that let the program go on. */
static int lock_all(struct open_ctx *o)
{
	struct tcp_lock *l = &o->plan->tcp->lock;
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	o->plan->tcp->away_ns = tcp_away_ns(image_manifest(o->image)->created_ns);
	o->plan->tcp->same_clock = same_clock(o);
	tcp_lock_name(
		image_manifest(o->image)->crid, o->plan->tcp->name, sizeof(o->plan->tcp->name));
	while (r == 0 && (rec = model_next(o->model, &res_tcp.type, &pos))) {
		const Ckpt__Tcp *m = (const void *)rec->msg;
		const Ckpt__Socket *s = socket_record(o, rec->owner);

		if (!s)
			return -EBADMSG;
		if ((m->kind == CKPT__TCP__KIND__CONNECTED ||
			    m->kind == CKPT__TCP__KIND__CONNECTING) &&
			plan_fd(o->plan, rec->owner) >= 0)
			r = tcp_lock_add(l, s->family, m);
		else if (m->kind == CKPT__TCP__KIND__LISTENING && plan_fd(o->plan, rec->owner) >= 0)
			r = tcp_lock_waiting(l, s->family, m);
		if (r < 0)
			return r == -EINVAL ? fail_image(o, rec->owner)
					    : op_fail(o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL,
						      "the connections");
	}
	tcp_lock_sort(l);
	tcp_lock_take(o->op, l);
	return 0;
}

/* Once for all: when the first of them is asked about. */
int tcp_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd)
{
	int r;

	(void)rec;
	(void)fd;
	if (o->plan->tcp->done)
		return 0;
	o->plan->tcp->done = true;
	r = lock_all(o);
	if (r == 0)
		r = each(o, CKPT__TCP__KIND__UNCONNECTED, NULL);
	if (r == 0)
		r = each(o, CKPT__TCP__KIND__ENDED, NULL);
	if (r == 0)
		r = each(o, CKPT__TCP__KIND__CONNECTING, connect_later);
	if (r == 0)
		r = each(o, CKPT__TCP__KIND__LISTENING, listen_again);
	return r < 0 ? r : each(o, CKPT__TCP__KIND__CONNECTED, connect_again);
}
