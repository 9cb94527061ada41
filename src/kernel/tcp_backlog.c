/*
 * tcp_backlog.c - see tcp_backlog.h.
 */
#include "kernel/tcp_backlog.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/apart.h"
#include "kernel/tcp_inject.h"
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

#define MSS_DEFAULT 536 /* of who names none in its SYN */

/* What may come in beyond what was told. */
#define ARENA_SPARE (1UL << 20)

static int info_of(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) < 0 ? -errno : 0;
}

int tcp_backlog_count(int fd)
{
	struct tcp_info info;
	int r = info_of(fd, &info);

	if (r < 0)
		return r;
	return info.tcpi_state == TCP_IS_LISTEN ? (int)MIN(info.tcpi_unacked, (uint32_t)INT32_MAX)
						: -EINVAL;
}

int tcp_backlog_eager(int fd)
{
	int seconds = 0, none = 0;
	socklen_t len = sizeof(seconds);

	if (getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len) < 0 || !seconds)
		return 0;
	setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &none, sizeof(none));
	return seconds;
}

void tcp_backlog_deferring(int fd, int seconds)
{
	if (seconds)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
}

size_t tcp_backlog_sum(const int *fds, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		int count = tcp_backlog_count(fds[i]);

		sum += count > 0 ? (size_t)count : 0;
	}
	return sum;
}

bool tcp_backlog_await(const int *fds, size_t n, size_t count)
{
	for (int i = 0; i < WAIT_STEPS; i++) {
		if (tcp_backlog_sum(fds, n) >= count)
			return true;
		usleep(WAIT_STEP_US);
	}
	return false;
}

/* ---- putting ---- */

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
	struct tcp_info info;

	for (int i = 0; i < WAIT_STEPS; i++) {
		if (info_of(fd, &info) == 0 && info.tcpi_state == TCP_IS_CLOSE)
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
	uint16_t mss = htons(
		(uint16_t)(w->state.mss ? MIN(w->state.mss, (uint32_t)UINT16_MAX) : MSS_DEFAULT));
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

static int shake_hands(const struct handshake *h)
{
	const struct tcp_state *state = &h->w->state;
	size_t before = state->urgent ? state->urgent_at : 0;
	uint8_t options[24];
	struct tcp_segment s = {.from = &h->peer,
		.to = &h->local,
		.syn = true,
		.seq = recv_first(h->w) - 1,
		.window = window_of(state->windows.snd_wnd, 0),
		.options = options,
		.options_len = syn_options(h->w, options)};
	int r = tcp_inject(h->inject, &s);

	s = (struct tcp_segment){.from = &h->peer,
		.to = &h->local,
		.seq = recv_first(h->w),
		.ack = send_first(h->w),
		.window = window_of(state->windows.snd_wnd, h->w->scaled ? h->w->send_scale : 0)};
	if (r == 0)
		r = tcp_inject(h->inject, &s);
	if (r == 0)
		r = tcp_inject_data(h->inject, &s, state->recv, before);
	s.urg = state->urgent;
	if (r == 0)
		r = tcp_inject_data(h->inject, &s, state->recv + before, state->recv_len - before);
	s.urg = false;
	s.fin = true;
	return r == 0 && h->w->fin ? tcp_inject(h->inject, &s) : r;
}

int tcp_backlog_put(int inject4, int inject6, const struct tcp_waiting *w)
{
	struct handshake h = {.w = w, .local = w->local, .peer = w->peer};
	int r;

	tcp_plain_addr(&h.local);
	tcp_plain_addr(&h.peer);
	h.inject = h.local.ss_family == AF_INET6 ? inject6 : inject4;
	r = predecessor(&h);
	return r < 0 ? r : shake_hands(&h);
}

/* ---- taking ---- */

struct reading {
	struct tcp_backlog *v;
	size_t n;
	int inject4, inject6;
};

static int arena_for(int fd, struct tcp_waiting *w)
{
	int unread = 0;
	size_t size;
	void *p;

	ioctl(fd, SIOCINQ, &unread);
	size = (size_t)MAX(unread, 0) + ARENA_SPARE;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	w->arena = p;
	w->arena_size = size;
	return 0;
}

/* Return: 1; 0: its client has gone; -errno */
static int look(int fd, struct tcp_waiting *w)
{
	socklen_t len = sizeof(w->local);
	struct tcp_info info;
	int r = info_of(fd, &info);

	if (r < 0 || info.tcpi_state == TCP_IS_CLOSE)
		return r;
	if (getsockname(fd, (struct sockaddr *)&w->local, &len) < 0)
		return -errno;
	w->scaled = info.tcpi_options & TCPI_OPT_WSCALE;
	w->sack = info.tcpi_options & TCPI_OPT_SACK;
	w->timestamps = info.tcpi_options & TCPI_OPT_TIMESTAMPS;
	w->send_scale = w->scaled ? info.tcpi_snd_wscale : 0;
	w->recv_scale = w->scaled ? info.tcpi_rcv_wscale : 0;
	w->state.fd = fd;
	r = arena_for(fd, w);
	if (r == 0)
		r = tcp_state_read(&w->state, w->arena, w->arena_size);
	w->fin = w->state.state == TCP_IS_CLOSE_WAIT;
	return r < 0 ? r : w->state.state != TCP_IS_CLOSE;
}

/* Return: 1: it waits again; 0: there is nothing to take; -errno. */
static int one(const struct reading *g, struct tcp_backlog *b)
{
	struct pollfd p = {.fd = b->fd, .events = POLLIN};
	struct tcp_waiting *w = &b->v[b->taken];
	socklen_t len = sizeof(w->peer);
	_cleanup_close_ int fd = -EBADF;
	size_t before = tcp_backlog_sum(b->group, b->n_group);
	int r;

	if (w->arena)
		munmap(w->arena, w->arena_size); /* of one whose client has gone */
	memset(w, 0, sizeof(*w));
	if (poll(&p, 1, 0) <= 0)
		return 0;
	fd = accept4(b->fd, (struct sockaddr *)&w->peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = look(fd, w);
	if (r == 0)
		return 1;
	b->taken += r > 0;
	if (r > 0)
		r = tcp_repair(fd, 1);
	if (r == 0) {
		close(TAKE_FD(fd));
		r = tcp_backlog_put(g->inject4, g->inject6, w);
	}
	if (r == 0 && !tcp_backlog_await(b->group, b->n_group, before))
		r = -ETIMEDOUT;
	b->lost += r < 0;
	return r < 0 ? r : 1;
}

static int read_all(void *arg)
{
	const struct reading *g = arg;

	for (size_t i = 0; i < g->n; i++) {
		struct tcp_backlog *b = &g->v[i];
		int r = 1, seconds = tcp_backlog_eager(b->fd);

		for (size_t k = 0; k < b->n && r > 0; k++)
			r = one(g, b);
		tcp_backlog_deferring(b->fd, seconds);
		b->err = MIN(r, 0);
	}
	return 0;
}

int tcp_backlog_read(struct tcp_backlog *b, size_t n, int inject4, int inject6)
{
	struct reading g = {b, n, inject4, inject6};

	return apart(read_all, &g);
}

void tcp_backlog_done(struct tcp_backlog *b)
{
	for (size_t i = 0; b->v && i < b->n; i++)
		if (b->v[i].arena)
			munmap(b->v[i].arena, b->v[i].arena_size);
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
	struct tcp_state back = {.fd = -EBADF};
	socklen_t len = sizeof(w.local);
	uint8_t buf[64];
	bool works;

	if (getsockname(listener, (struct sockaddr *)&w.local, &len) < 0)
		return false;
	w.peer = w.local;
	((struct sockaddr_in *)&w.peer)->sin_port =
		htons(9); /* of either family at the same place */
	if (tcp_backlog_put(inject4, inject6, &w) < 0 || !tcp_backlog_await(&listener, 1, 1))
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
