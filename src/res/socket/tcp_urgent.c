/*
 * tcp_urgent.c - urgent data that a connection has received and the program has not read, at a restore.
 *
 * What stands before it is put into the queue in repair mode; the byte and what is behind it come in as
 * segments, as they came from the peer (kernel/tcp_inject.h).
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/tcp_inject.h"
#include "kernel/tcp_key.h"
#include "kernel/tcp_repair.h"
#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

#define ROOM_SPARE   (64UL * 1024)
#define WAIT_STEP_US 100
#define WAIT_STEPS   5000

void tcp_urgent_windows(const Ckpt__TcpState *s, struct tcp_windows *w)
{
	uint32_t next = s->recv_seq + s->urgent_at;
	int32_t ahead = (int32_t)(w->rcv_wup - next);

	if (!s->urgent || ahead <= 0)
		return;
	w->rcv_wup = next; /* and it ends where it did */
	w->rcv_wnd += (uint32_t)ahead;
}

/* Segments have been taken in when they were sent, unless the machine is very busy. */
static int await(int fd, uint32_t next)
{
	uint32_t seq = 0;
	socklen_t len = sizeof(seq);
	int queue = TCP_QUEUE_RECV;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0)
		return -errno;
	for (int i = 0; i < WAIT_STEPS; i++) {
		if (getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len) < 0)
			return -errno;
		if (seq == next)
			return 0;
		usleep(WAIT_STEP_US);
	}
	return -ETIMEDOUT;
}

int tcp_urgent_again(const Ckpt__Tcp *m, int family, int fd)
{
	const Ckpt__TcpState *s = m->state;
	uint32_t window = MIN(s->snd_wnd >> (s->send_scale & 31), (uint32_t)UINT16_MAX);
	struct sockaddr_storage local, peer;
	struct tcp_segment seg = {.from = &peer,
		.to = &local,
		.seq = s->recv_seq + s->urgent_at,
		.ack = s->send_seq,
		.window = (uint16_t)window,
		.urg = true};
	_cleanup_close_ int inject = -EBADF;
	struct tcp_key key;
	int r = tcp_room(fd, SO_RCVBUF, 2 * s->received.len + ROOM_SPARE);
	char byte;

	if (!tcp_end_get(family, m->local, &local) || !tcp_end_get(family, m->peer, &peer))
		return -EINVAL;
	tcp_plain_addr(&local);
	tcp_plain_addr(&peer);
	seg.key = tcp_key_for(m, &peer, &key);
	inject = tcp_inject_open(local.ss_family);
	if (inject < 0)
		return inject;
	if (r == 0)
		r = tcp_inject_data(inject, &seg, s->received.data + s->urgent_at,
			s->received.len - s->urgent_at, TCP_INJECT_DATA);
	if (r == 0)
		r = await(fd, s->recv_seq + (uint32_t)s->received.len);
	if (r == 0 && s->urgent_read && recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) < 0)
		r = -errno;
	return r;
}
