/*
 * inet_parts.h - the parts of inet.c among themselves: addresses, memberships, queues.
 */
#ifndef CKPT_RES_SOCKET_INET_PARTS_H
#define CKPT_RES_SOCKET_INET_PARTS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "proto/inet.pb-c.h"
#include "proto/socket.pb-c.h"
#include "res/socket/socket.h"

/* Room for either kind of address. */
union inet_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/**
 * inet_addr_read() - an address of an image
 * Return: its length; 0: there is none, or it is of no length that an address may have.
 */
socklen_t inet_addr_read(const ProtobufCBinaryData *b, union inet_addr *ret);

/** inet_addr_plain() - an IPv4 address that is written as one of IPv6 becomes one of IPv4 */
void inet_addr_plain(union inet_addr *a);

/** inet_addr_any() - whether it is that of no interface in particular */
bool inet_addr_any(const union inet_addr *a);

/**
 * inet_groups_collect() - the multicast groups of a socket
 * The kernel does not list them by socket; it is asked about each group that the machine is in.
 * Return: 0; -ENOMEM.
 */
int inet_groups_collect(struct collect_tree *t, int fd, int family, Ckpt__Inet *m);

/** inet_groups_done() - free what inet_groups_collect() keeps in t */
void inet_groups_done(struct collect_tree *t);

/** inet_groups_join() - join them again. Return: 0; negative after op_fail() */
int inet_groups_join(struct open_ctx *o, int fd, const Ckpt__Inet *m);

/**
 * inet_queue_collect() - the datagrams that wait to be read; they stay where they are
 * @fd: of UDP or UDP-Lite
 * Return: 0; -errno.
 */
int inet_queue_collect(int fd, Ckpt__Inet *m);

/**
 * inet_queue_add() - add a datagram to those of a socket
 * @cap: of m->queue
 * @like: what is known of it but for its data; copied
 * Return: 0; -ENOMEM.
 */
int inet_queue_add(
	Ckpt__Inet *m, size_t *cap, const Ckpt__InetDatagram *like, const void *data, size_t len);

/** inet_queued() - bytes of memory that what waits to be read takes, errors included */
uint32_t inet_queued(int fd);

/**
 * inet_queue_put() - have them arrive again, at a socket that is bound and not connected
 * What can't arrive again is told, and no failure: datagrams may be lost.
 * Return: 0; negative after op_fail().
 */
int inet_queue_put(struct open_ctx *o, int fd, const Ckpt__Socket *s, const Ckpt__Inet *m);

/**
 * inet_held_collect() - the datagram that is not complete yet; it stays where it is
 * @m: its addresses are known
 * Return: 0, also where there is none; negative after op_fail().
 */
int inet_held_collect(struct collect *c, const struct file_look *l, Ckpt__Inet *m);

/** inet_held_done() - free what inet_held_collect() keeps in t */
void inet_held_done(struct collect_tree *t);

/**
 * inet_held_put() - send it again so that it stays
 * @fd: bound, connected, with its options; all other sockets are there
 * Return: 0; negative after op_fail().
 */
int inet_held_put(struct open_ctx *o, uint64_t id, int fd, const Ckpt__Inet *m);

/**
 * inet_errors_collect() - the pending error and the queue of errors; they stay where they are
 * What can't be saved is told.
 * @ret_pending: whether a look at what is unread would take an error away
 * Return: 0; negative after op_fail().
 */
int inet_errors_collect(
	struct collect *c, const struct file_look *l, Ckpt__Inet *m, bool *ret_pending);

/**
 * inet_errors_unread() - the datagrams that wait behind a pending error
 * @fd: of UDP or UDP-Lite
 * Return: 0; -errno, and m may have some of them; as sock_queue_read().
 */
int inet_errors_unread(struct collect *c, const struct file_look *l, Ckpt__Inet *m);

/** inet_errors_done() - free what inet_errors_collect() keeps in t */
void inet_errors_done(struct collect_tree *t);

/**
 * inet_errors_put() - have them arrive again, at a socket that is bound and connected as it was
 * Whatever is done with the socket afterwards may take the pending error. What can't arrive again is told.
 * Return: 0; negative after op_fail().
 */
int inet_errors_put(struct open_ctx *o, int fd, const Ckpt__Socket *s, const Ckpt__Inet *m);

#endif
