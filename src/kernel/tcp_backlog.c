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
#include "kernel/tcp_key.h"
#include "kernel/tcp_numbers.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* A packet has been taken in when it was sent, unless the machine is very busy. */
#define WAIT_STEP_US 100
#define WAIT_STEPS   5000

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

void tcp_backlog_eager(struct tcp_listener *l)
{
	socklen_t len = sizeof(l->seconds);
	int none = 0;

	if (getsockopt(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &l->seconds, &len) < 0)
		l->seconds = 0;
	if (l->seconds)
		setsockopt(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &none, sizeof(none));
}

void tcp_backlog_deferring(const struct tcp_listener *l)
{
	if (l->seconds)
		setsockopt(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &l->seconds, sizeof(l->seconds));
}

size_t tcp_backlog_sum(const struct tcp_listener *v, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		int count = tcp_backlog_count(v[i].fd);

		sum += count > 0 ? (size_t)count : 0;
	}
	return sum;
}

bool tcp_backlog_await(const struct tcp_listener *v, size_t n, size_t count)
{
	for (int i = 0; i < WAIT_STEPS; i++) {
		if (tcp_backlog_sum(v, n) >= count)
			return true;
		usleep(WAIT_STEP_US);
	}
	return false;
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
	struct pollfd p = {.fd = b->own->fd, .events = POLLIN};
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
	fd = accept4(b->own->fd, (struct sockaddr *)&w->peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	w->key = tcp_keys_find(b->keys, b->n_keys, &w->peer);
	r = look(fd, w);
	if (r == 0)
		return 1;
	b->taken += r > 0;
	if (r > 0)
		r = tcp_repair(fd, 1);
	if (r == 0) {
		close(TAKE_FD(fd));
		r = tcp_backlog_put(g->inject4, g->inject6, w, b->group, b->n_group);
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
		int r = 1;

		tcp_backlog_eager(b->own);
		for (size_t k = 0; k < b->n && r > 0; k++)
			r = one(g, b);
		tcp_backlog_deferring(b->own);
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
