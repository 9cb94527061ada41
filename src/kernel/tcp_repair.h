/*
 * tcp_repair.h - a TCP connection's state in the kernel, read out and put into another socket.
 *
 * A socket in repair mode sends nothing: not on connect(2), which establishes at once, not on
 * close(2). In it the kernel tells and takes sequence numbers and both queues. A living program's
 * socket would stay frozen if we died then, so what needs the mode is done apart (kernel/apart.h).
 *
 * Facts (net/ipv4/tcp.c): the mode takes CAP_NET_ADMIN in the socket's network namespace; it sets the
 * socket's SO_REUSEADDR to a value of its own, and clears it when it ends. In it TCP_MAXSEG is the
 * peer's limit. A peek at the send queue gives all from the first packet that is not acknowledged
 * whole, and fails where the buffer is too short. What is sent by the send queue counts as sent, and
 * unacknowledged. Sequence numbers count a FIN.
 */
#ifndef CKPT_KERNEL_TCP_REPAIR_H
#define CKPT_KERNEL_TCP_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Values of TCP_REPAIR_QUEUE: an enum in the kernel, not in its headers for users */
#define TCP_QUEUE_RECV 1
#define TCP_QUEUE_SEND 2

/* TCP_REPAIR_WINDOW */
struct tcp_windows {
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
};

struct tcp_state {
	int fd; /* borrowed */

	int state;         /* as of struct sock_look */
	uint32_t send_seq; /* of what is written next: behind the send queue and its FIN */
	uint32_t recv_seq; /* of what is received next: behind the receive queue and its FIN */
	uint32_t timestamp;
	uint32_t mss;
	struct tcp_windows windows;
	const uint8_t *recv, *send; /* the queues */
	size_t recv_len, send_len;
	bool urgent;      /* one byte of what was received is urgent */
	bool urgent_read; /* and was read out of its order */
	size_t urgent_at; /* where it is in recv */

	int err; /* 0; -errno of what could not be read */
};

struct tcp_states {
	struct tcp_state *v; /* of the caller */
	size_t n;
	uint8_t *arena; /* what the queues are in; freed by tcp_states_done() */
	size_t arena_size;
};

/**
 * tcp_states_read() - read the state of connections that are locked, and go on afterwards
 * Whoever has the sockets is stopped; not even our death leaves one in repair mode.
 * @s: v with descriptors and n are set
 * Return: 0, also where v[i].err says that one could not be read; -ENOMEM; -errno of clone(2).
 */
int tcp_states_read(struct tcp_states *s);

void tcp_states_done(struct tcp_states *s);

/** tcp_state_of() - the state of a socket as in struct tcp_info; async-signal-safe. Return: 0; -errno */
int tcp_state_of(int fd, int *ret);

/**
 * tcp_state_read() - read the state of one, apart; async-signal-safe
 * @s: fd is set
 * @to, @room: for its queues; more room than they need
 * Return: 0; -EFAULT: no room; -ENOMSG: there is urgent data, and this kernel does not let us see past it; -errno
 */
int tcp_state_read(struct tcp_state *s, uint8_t *to, size_t room);

/** tcp_seq_set() - in repair mode, before it is connected. @queue: TCP_QUEUE_*. Return: 0; -errno */
int tcp_seq_set(int fd, int queue, uint32_t seq);

/* A connection to be made again. */
struct tcp_again {
	const struct sockaddr *local, *peer;
	socklen_t len;                   /* of both */
	uint32_t send_first, recv_first; /* sequence numbers of the queues' first bytes */
	uint32_t mss, timestamp;
	uint8_t send_scale, recv_scale;
	bool scaled, sack, timestamps; /* which options were agreed on */
	struct tcp_windows windows;
	const uint8_t *recv, *send; /* what was received and not read; sent and not acknowledged */
	size_t recv_len, send_len;
};

/**
 * tcp_again_make() - make a connection; it stays in repair mode
 * @fd: a new non-blocking socket, with those options that matter for an address
 * @ret_call: of a failure: the system call
 * Return: 0; -errno
 */
int tcp_again_make(int fd, const struct tcp_again *a, const char **ret_call);

/** tcp_repair() - @on: 1; 0 with a probe to the peer; -1 without. Return: 0; -errno */
int tcp_repair(int fd, int on);

/**
 * tcp_room() - let the queues of a socket take so many bytes more than they have to
 * Return: 0; -errno. The program's sizes have to be put back.
 */
int tcp_room(int fd, int option, size_t bytes);

#endif
