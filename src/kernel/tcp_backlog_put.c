/*
 * tcp_backlog_put.c - how a connection gets into a socket that listens: see tcp_backlog.h.
 *
 * What it had received has to find room once more, as its client will not send it again. It gets in only within
 * the window that a new connection opens by and by, which is never wider than its buffer: so that of the socket
 * that listens, from which the connection has it, is made larger for that moment.
 */
#include "kernel/tcp_backlog.h"

#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "kernel/syscalls.h"
#include "kernel/tcp_inject.h"
#include "kernel/tcp_look.h"
#include "kernel/tcp_numbers.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* From the last number of one in TIME_WAIT to the first of its successor. */
#define TO_NEXT 65537U
/* How far what it has received lies behind what its successor's client begins with. */
#define BEFORE 1000U

/* A packet has been taken in when it was sent, unless the machine is very busy. */
#define WAIT_STEP_US 100
#define WAIT_STEPS   5000
/* Then it was dropped. */
#define WAIT_AGAIN 50

/* Of a buffer so much is left for what is sent next. */
#define ROOM_SPARE (64UL * 1024)
/* A buffer of this many times what is in it is never short. */
#define ROOM_AMPLE 4

static uint32_t send_first(const struct tcp_waiting *w)
{
	return w->state.send_seq - (uint32_t)w->state.send_len;
}

static uint32_t recv_first(const struct tcp_waiting *w)
{
	return w->state.recv_seq - w->fin - (uint32_t)w->state.recv_len;
}

static socklen_t addr_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static bool is_closed(int fd)
{
	int state;

	for (int i = 0; i < WAIT_STEPS; i++) {
		if (tcp_state_of(fd, &state) == 0 && state == TCP_IS_CLOSE)
			return true;
		usleep(WAIT_STEP_US);
	}
	return false;
}

/* The segments of its client, by addresses as packets have them. */
struct handshake {
	const struct tcp_waiting *w;
	int inject;
	struct sockaddr_storage local, peer;
};

/* In repair mode, its end said. @last: of its numbers; @heard: of its peer's */
static int make_predecessor(int fd, const struct handshake *h, uint32_t last, uint32_t heard)
{
	int queue = TCP_QUEUE_SEND, r = tcp_repair(fd, 1);

	if (r == 0)
		r = tcp_seq_set(fd, TCP_QUEUE_SEND, last - 1);
	if (r == 0)
		r = tcp_seq_set(fd, TCP_QUEUE_RECV, heard);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&h->local, addr_len(&h->local)) < 0 ||
		connect(fd, (const struct sockaddr *)&h->peer, addr_len(&h->peer)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
		shutdown(fd, SHUT_WR) < 0)
		return -errno;
	return tcp_repair(fd, -1);
}

/* A connection of the same addresses in TIME_WAIT. */
static int predecessor(const struct handshake *h)
{
	_cleanup_close_ int fd =
		socket(h->local.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	struct tcp_segment s = {.from = &h->peer,
		.to = &h->local,
		.seq = recv_first(h->w) - BEFORE,
		.ack = send_first(h->w) - 1 - TO_NEXT,
		.window = UINT16_MAX};
	int r = fd < 0 ? -errno : make_predecessor(fd, h, s.ack, s.seq);

	if (r == 0)
		r = tcp_inject(h->inject, &s);
	s.fin = true;
	if (r == 0)
		r = tcp_inject(h->inject, &s);
	if (r == 0 && !is_closed(fd))
		r = -ETIMEDOUT;
	if (r < 0 && fd >= 0)
		tcp_repair(fd, 1); /* nothing is said */
	return r;
}

/* A time stamp of 0 is one that says nothing (RFC 7323). Return: bytes */
static size_t syn_options(const struct tcp_waiting *w, uint8_t o[24])
{
	uint16_t mss = htons((uint16_t)(w->state.mss ? MIN(w->state.mss, (uint32_t)UINT16_MAX)
						     : TCP_MSS_UNKNOWN));
	size_t n = 4;

	memcpy(o, (const uint8_t[]){TCP_HAS_MSS, 4}, 2);
	memcpy(o + 2, &mss, sizeof(mss));
	if (w->sack) {
		memcpy(o + n, (const uint8_t[]){TCP_HAS_NOP, TCP_HAS_NOP, TCP_HAS_SACK, 2}, 4);
		n += 4;
	}
	if (w->timestamps) {
		memset(o + n, 0, 12);
		memcpy(o + n, (const uint8_t[]){TCP_HAS_NOP, TCP_HAS_NOP, TCP_HAS_TIMESTAMP, 10},
			4);
		n += 12;
	}
	if (w->scaled) {
		memcpy(o + n, (const uint8_t[]){TCP_HAS_NOP, TCP_HAS_WINDOW, 3, w->send_scale}, 4);
		n += 4;
	}
	return n;
}

static uint16_t window_of(uint32_t bytes, unsigned int scale)
{
	return (uint16_t)MIN(bytes >> (scale & 31), (uint32_t)UINT16_MAX);
}

static uint16_t window_now(const struct tcp_waiting *w)
{
	return window_of(w->state.windows.snd_wnd, w->scaled ? w->send_scale : 0);
}

static int begin(const struct handshake *h)
{
	const struct tcp_waiting *w = h->w;
	uint8_t options[24];
	struct tcp_segment s = {.from = &h->peer,
		.to = &h->local,
		.syn = true,
		.seq = recv_first(w) - 1,
		.window = window_of(w->state.windows.snd_wnd, 0),
		.key = w->key,
		.options = options,
		.options_len = syn_options(w, options)};

	return tcp_inject(h->inject, &s);
}

/*
 * The last word of the handshake, which may have come before the first, and what was received, from a byte on.
 * @most: in a segment
 */
static int say(const struct handshake *h, size_t from, size_t most)
{
	const struct tcp_state *state = &h->w->state;
	bool urgent = state->urgent && state->urgent_at >= from;
	size_t before = urgent ? state->urgent_at : from;
	struct tcp_segment s = {.from = &h->peer,
		.to = &h->local,
		.seq = recv_first(h->w) + (uint32_t)from,
		.ack = send_first(h->w),
		.window = window_now(h->w),
		.key = h->w->key};
	int r = tcp_inject(h->inject, &s);

	if (r == 0)
		r = tcp_inject_data(h->inject, &s, state->recv + from, before - from, most);
	s.urg = urgent;
	if (r == 0)
		r = tcp_inject_data(
			h->inject, &s, state->recv + before, state->recv_len - before, most);
	s.urg = false;
	s.fin = true;
	return r == 0 && h->w->fin ? tcp_inject(h->inject, &s) : r;
}

/* Return: 0: it has all; -EAGAIN: it has had no more for a while; -ETIMEDOUT. @steps, @have: so far */
static int await(const struct handshake *h, int *steps, size_t *have)
{
	size_t all = h->w->state.recv_len + h->w->fin;

	for (int still = 0; still < WAIT_AGAIN; still++) {
		struct tcp_seen seen;

		if (tcp_look(&h->local, &h->peer, &seen) == 0 &&
			(seen.state == TCP_IS_ESTABLISHED || seen.state == TCP_IS_CLOSE_WAIT)) {
			if (seen.unread >= all)
				return 0;
			still = seen.unread > *have ? 0 : still;
			*have = seen.unread;
		}
		if ((*steps)++ > WAIT_STEPS)
			return *have ? -ENOBUFS : -ETIMEDOUT;
		usleep(WAIT_STEP_US);
	}
	return -EAGAIN;
}

/* What is dropped is said again in smaller pieces: what does not fit into the window is dropped whole. */
static int say_all(const struct handshake *h, size_t *have)
{
	int steps = 0, r = say(h, 0, TCP_INJECT_DATA);

	while (r == 0 && (r = await(h, &steps, have)) == -EAGAIN)
		r = say(h, MIN(*have, h->w->state.recv_len), TCP_INJECT_DATA_SMALL);
	return r;
}

/* Either would wait for bytes that the other believes to be here. */
static void break_off(const struct handshake *h, size_t have)
{
	struct tcp_segment s = {.from = &h->peer,
		.to = &h->local,
		.seq = recv_first(h->w) + (uint32_t)have,
		.ack = send_first(h->w),
		.rst = true,
		.key = h->w->key};

	tcp_inject(h->inject, &s);
	s = (struct tcp_segment){.from = &h->local,
		.to = &h->peer,
		.seq = h->w->state.send_seq,
		.ack = h->w->state.recv_seq,
		.rst = true,
		.key = h->w->key};
	tcp_inject(h->inject, &s);
}

/* ---- room ---- */

static int get(int fd, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) < 0 ? -errno : 0;
}

static void set_room(const struct tcp_listener *l, int half)
{
	setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half));
	setsockopt(l->fd, SOL_SOCKET, SO_BUF_LOCK, &l->locks, sizeof(l->locks));
}

/*
 * From a size that the program has chosen follows the scale of windows, which the client knows: half of the buffer,
 * as a number of 16 bits and so many more. More than that takes a clamp, which once set is not taken away
 * from who listens; it is no narrower than the one that follows from the size.
 */
static void keep_scale(struct tcp_listener *l, const struct tcp_waiting *w, size_t room)
{
	int widest = UINT16_MAX << w->recv_scale, now = 0;
	socklen_t len = sizeof(now);

	if (!(l->locks & RCVBUF_LOCK) || !w->scaled || room >> (17 + w->recv_scale) == 0)
		return;
	getsockopt(l->fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &now, &len);
	if (now && now <= widest)
		return;
	setsockopt(l->fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &widest, sizeof(widest));
	l->clamp = now;
}

static void make_room(struct tcp_listener *l, const struct tcp_waiting *w)
{
	size_t unread = w->state.recv_len;
	size_t want = MIN(2 * (unread + ROOM_SPARE), (size_t)INT_MAX / 2);

	l->room = l->clamp = 0;
	if (get(l->fd, SO_BUF_LOCK, &l->locks) < 0 || get(l->fd, SO_RCVBUF, &l->room) < 0)
		return;
	if ((size_t)l->room / ROOM_AMPLE >= unread || want <= (size_t)l->room) {
		l->room = 0;
		return;
	}
	keep_scale(l, w, want);
	set_room(l, (int)(want / 2));
}

static void room_again(struct tcp_listener *l)
{
	if (l->clamp)
		setsockopt(l->fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &l->clamp, sizeof(l->clamp));
	if (l->room)
		set_room(l, l->room / 2);
	l->room = l->clamp = 0;
}

int tcp_backlog_put(
	int inject4, int inject6, const struct tcp_waiting *w, struct tcp_listener *v, size_t n)
{
	struct handshake h = {.w = w, .local = w->local, .peer = w->peer};
	size_t have = 0;
	int r;

	tcp_plain_addr(&h.local);
	tcp_plain_addr(&h.peer);
	h.inject = h.local.ss_family == AF_INET6 ? inject6 : inject4;
	for (size_t i = 0; i < n; i++)
		make_room(&v[i], w);
	r = predecessor(&h);
	if (r == 0)
		r = begin(&h);
	if (r == 0)
		r = say_all(&h, &have);
	if (r < 0)
		break_off(&h, have);
	for (size_t i = 0; i < n; i++)
		room_again(&v[i]);
	return r;
}

/* ---- does it work here? ---- */

int tcp_loopback_listen(int family, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	if (family == AF_INET6)
		in6->sin6_addr = in6addr_loopback;
	else
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret_len = addr_len(ret);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret, *ret_len) < 0 || listen(fd, 1) < 0 ||
		getsockname(fd, (struct sockaddr *)ret, ret_len) < 0)
		return -errno;
	return TAKE_FD(fd);
}

bool tcp_backlog_works(int inject4, int inject6, int listener)
{
	struct tcp_waiting w = {.state = {.send_seq = 0x12345678,
					.recv_seq = 0x87654321,
					.recv_len = 4,
					.recv = (const uint8_t *)"ckpt",
					.windows = {.snd_wnd = UINT16_MAX}},
		.sack = true};
	struct tcp_listener own = {.fd = listener};
	struct tcp_state back = {.fd = -EBADF};
	socklen_t len = sizeof(w.local);
	uint8_t buf[64];
	bool works;

	if (getsockname(listener, (struct sockaddr *)&w.local, &len) < 0)
		return false;
	w.peer = w.local;
	((struct sockaddr_in *)&w.peer)->sin_port =
		htons(9); /* of either family at the same place */
	if (tcp_backlog_put(inject4, inject6, &w, &own, 1) < 0 || !tcp_backlog_await(&own, 1, 1))
		return false;
	back.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (back.fd < 0)
		return false;
	works = tcp_state_read(&back, buf, sizeof(buf)) == 0 && back.send_seq == w.state.send_seq &&
		back.recv_seq == w.state.recv_seq && back.recv_len == w.state.recv_len;
	tcp_repair(back.fd, 1);
	close(back.fd);
	return works;
}
