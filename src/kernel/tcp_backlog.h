/*
 * tcp_backlog.h - connections that wait in a socket which listens, and that nobody has accepted yet.
 *
 * All that can be done with one is to accept it. So one is taken out, read, closed without a word
 * (kernel/tcp_repair.h) and put in again; and by the same means it is put into a socket that listens anew.
 * It gets in by a handshake as its client has made it (kernel/tcp_inject.h). What makes that possible: where a
 * connection is in TIME_WAIT, its successor's first sequence number follows from its last one. So there
 * is one such first, made in repair mode, after which comes the number that the client knows.
 *
 * Whoever puts one in sees to it that no packet of the client comes in meanwhile, and no answer goes out
 * (kernel/netlock.h).
 *
 * Source: net/ipv4/tcp_minisocks.c tcp_timewait_state_process(): the next is the last one + 65535 + 2. Linux 4.1 to
 * 6.9 forget that on the way to who listens (mended by 41eecbd712b7, "tcp: replace TCP_SKB_CB(skb)->tcp_tw_isn with a
 * per-cpu field"), and begin with another: there is no way then. The child of a socket that listens was acknowledged by its own number or it is none.
 */
#ifndef CKPT_KERNEL_TCP_BACKLOG_H
#define CKPT_KERNEL_TCP_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "kernel/tcp_repair.h"

/* A socket that listens, and what it is given back when all is done. */
struct tcp_listener {
	int fd;          /* borrowed */
	int seconds;     /* its TCP_DEFER_ACCEPT */
	int room, locks; /* its SO_RCVBUF and SO_BUF_LOCK; room 0: it has them */
	int clamp;       /* its TCP_WINDOW_CLAMP; 0: it has it */
};

/* A connection of which our side has sent nothing but its answer to the first packet. */
struct tcp_waiting {
	struct sockaddr_storage local, peer; /* as of the socket that listens */
	struct tcp_state state;              /* its fd does not matter */
	uint8_t send_scale, recv_scale;
	bool scaled, sack, timestamps;
	bool fin;                  /* of its client, behind what was received */
	const struct tcp_key *key; /* that of the socket that listens for this client; NULL: none */

	void *arena; /* of one that was read: what was received; freed by tcp_backlog_done() */
	size_t arena_size;
};

/* A socket that listens, and what is taken out of it and put in again. */
struct tcp_backlog {
	struct tcp_listener *own;   /* accepted from; of the caller */
	struct tcp_listener *group; /* all that share its port, with itself; of the caller */
	size_t n_group;
	const struct tcp_key *keys; /* of the socket; borrowed */
	size_t n_keys;
	size_t n;     /* how many are to be taken, at most those that wait */
	size_t taken; /* how many were found */
	size_t lost;  /* of these, those that could not be put in again: both ends are told */
	int err;      /* why, or why no more are taken: -errno; 0 */
	struct tcp_waiting *v; /* of the caller, n of them */
};

/**
 * tcp_backlog_read() - read what waits, in its order; it waits in the same order afterwards
 * @inject4, @inject6: tcp_inject_open(); -EBADF: none
 * That happens apart (kernel/apart.h): our death loses nothing.
 * Return: 0, also where something was lost; -errno of clone(2).
 */
int tcp_backlog_read(struct tcp_backlog *b, size_t n, int inject4, int inject6);

/** tcp_backlog_done() - free what was received */
void tcp_backlog_done(struct tcp_backlog *b);

/**
 * tcp_backlog_put() - put one into the socket that listens at its local address; async-signal-safe
 * @inject4, @inject6: as of tcp_backlog_read()
 * @v, @n: all sockets that may get it
 * Return: 0: it is there, with what was received; to be accepted after a moment, see tcp_backlog_await();
 * -errno: it is not, -ENOBUFS for want of room; then both ends are told that the connection is reset
 */
int tcp_backlog_put(
	int inject4, int inject6, const struct tcp_waiting *w, struct tcp_listener *v, size_t n);

/** tcp_backlog_eager() - whoever has said nothing yet is let in as well; async-signal-safe */
void tcp_backlog_eager(struct tcp_listener *l);

/** tcp_backlog_deferring() - the end of that */
void tcp_backlog_deferring(const struct tcp_listener *l);

/** tcp_backlog_count() - how many wait. Return: or -errno: it does not listen */
int tcp_backlog_count(int fd);

/**
 * tcp_backlog_await() - wait a moment until so many wait in all of some sockets; async-signal-safe
 * Of those that share a port (SO_REUSEPORT) the kernel chooses one by itself.
 * Return: whether they do
 */
bool tcp_backlog_await(const struct tcp_listener *v, size_t n, size_t count);

/** tcp_backlog_sum() - how many wait in all of some sockets; of one that does not listen: none */
size_t tcp_backlog_sum(const struct tcp_listener *v, size_t n);

/** tcp_loopback_listen() - a socket that listens at the loopback address of a family. Return: owned by the caller; -errno */
int tcp_loopback_listen(int family, struct sockaddr_storage *ret, socklen_t *ret_len);

/**
 * tcp_backlog_works() - whether a connection can be put into a socket that listens, by trying
 * @listener: tcp_loopback_listen(), of which no packet but ours gets in or out
 */
bool tcp_backlog_works(int inject4, int inject6, int listener);

#endif
