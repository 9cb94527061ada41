/*
 * socket.h - what all kinds of sockets have in common.
 *
 * A socket is an open file description like any other (res/file/files.h): its kind (unix, tcp, ...)
 * is a resource with file_ops, whose match() goes by file_look.sock. Beside the kind's own record
 * stands a Socket record with the same owner: what it is, and its options. So a kind calls
 * socket_collect() at the dump; and at the restore socket_new(), then binds, connects and fills it,
 * and calls socket_options() at the points that are named below.
 */
#ifndef CKPT_RES_SOCKET_SOCKET_H
#define CKPT_RES_SOCKET_SOCKET_H

#include "kernel/sock.h"
#include "res/file/files.h"

struct Ckpt__Socket;
struct sockaddr;
struct kmem;
struct sock_diag;
struct sock_diag_row;

/* When an option is set. */
enum sockopt_when {
	SOCKOPT_NEW,   /* before bind(2): what decides about addresses, sizes of buffers */
	SOCKOPT_BOUND, /* after bind, listen, connect, before there is anything in its queues */
	SOCKOPT_LAST, /* when all is there: filters, locks, time outs, who would disturb the rest */
};

/**
 * socket_verdict() - what about a socket can't be saved, whatever its kind is: for verdict() of a kind
 * socket_collect() comes to the same.
 */
struct file_verdict socket_verdict(const struct file_look *l);

/* For messages: "127.0.0.1:80", "[::1]:80". */
struct socket_text {
	char s[80];
};

/** socket_addr_text() - an address of AF_INET or AF_INET6 in words. Return: by value */
struct socket_text socket_addr_text(const struct sockaddr *a);

/**
 * socket_collect() - add the common record of a socket
 * @l: with fd and sock
 * Return: 0; negative after op_fail().
 */
int socket_collect(struct collect *c, uint64_t id, const struct file_look *l);

/**
 * socket_diag() - what the kernel tells of all sockets of a family, read once per dump
 * For finish(): all tasks are stopped then, what their sockets are does not change any more.
 * @protocol: as of sock_diag_read()
 * Return: 0; negative after op_fail().
 */
int socket_diag(struct collect_tree *t, int family, int protocol, const struct sock_diag **ret);

/**
 * socket_diag_row() - what the kernel tells of one socket, where it can tell
 * Return: NULL: nothing is known of it, be it that this kernel tells nothing of its family.
 */
const struct sock_diag_row *socket_diag_row(
	struct collect_tree *t, int family, int protocol, uint64_t ino);

/**
 * socket_kmem() - what the memory of the kernel is read by; one for all of a dump
 * @ret: borrowed from t
 * Return: 0; as kmem_open(); -ENOMEM.
 */
int socket_kmem(struct collect_tree *t, struct kmem **ret);

/** socket_done() - free what socket_diag(), socket_kmem() and socket_collect() keep in t */
void socket_done(struct collect_tree *t);

/** socket_record() - the common record; NULL after op_fail(): the image has none */
const struct Ckpt__Socket *socket_record(struct open_ctx *o, uint64_t id);

/**
 * socket_new() - a socket of that kind, non-blocking, with its options of SOCKOPT_NEW
 * Return: a close-on-exec descriptor, owned by the caller; negative after op_fail().
 */
int socket_new(struct open_ctx *o, uint64_t id);

/**
 * socket_adopt() - the same for one that was made otherwise: socketpair(2), accept(2)
 * Return: 0; negative after op_fail().
 */
int socket_adopt(struct open_ctx *o, uint64_t id, int fd);

/**
 * socket_open() - open() of a kind whose sockets are made one by one
 * @make: binds, connects and fills the socket @fd, which stays ours. 0 or negative after op_fail()
 * Return: as file_ops.open.
 */
int socket_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec,
	int (*make)(struct open_ctx *o, uint64_t id, int fd, const struct model_rec *rec));

/**
 * socket_options() - set those options of the image that are to be set now
 * @fd: of the socket
 * Return: 0; negative after op_fail().
 */
int socket_options(struct open_ctx *o, uint64_t id, int fd, enum sockopt_when when);

/**
 * socket_flags() - the flags of the description, at the very end of open(): O_NONBLOCK and the like
 * Return: 0; negative after op_fail().
 */
int socket_flags(struct open_ctx *o, uint64_t id, int fd);

/** unix_queues_forget() - free what a dump keeps of unix sockets in t */
void unix_queues_forget(struct collect_tree *t);

/** unixsock_mark() - find what is in flight in queues of the image, before anything is opened */
void unixsock_mark(struct plan *p);

/** unixsock_done() - free what restoring unix sockets keeps in p */
void unixsock_done(struct plan *p);
extern const struct res res_unixsock;

extern const struct res res_socket, res_inet, res_netlink, res_packet, res_packetmap, res_tun,
	res_vsock;

#endif
