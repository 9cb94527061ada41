/*
 * unixsock.h - between the parts of the resource unixsock: dump (unixsock.c, unixsock_queue.c,
 * unixsock_peer.c) and restore (unixsock_open.c, unixsock_call.c, unixsock_bind.c, unixsock_send.c,
 * unixsock_fill.c, unixsock_knock.c).
 */
#ifndef CKPT_RES_SOCKET_UNIXSOCK_H
#define CKPT_RES_SOCKET_UNIXSOCK_H

#include <sys/socket.h>
#include <sys/un.h>

#include "kernel/unix_peek.h"
#include "proto/unixsock.pb-c.h"
#include "res/socket/socket.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* of linux/sockios.h, which whoever uses it includes */
#endif

#define UNIX_NAME_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

struct unix_queues;

/** unix_addr_name() - what stands in sun_path, without the zero that ends a path */
ProtobufCBinaryData unix_addr_name(const struct unix_addr *a);

/** unix_addr_of() - the address that has a name. Return: whether the name is not too long */
bool unix_addr_of(const ProtobufCBinaryData *name, struct unix_addr *ret);

/* ---- dump ---- */

/**
 * unix_queue_collect() - look at what waits to be received, and leave it there
 * @c: who is said to have it, in messages
 * @fd: a duplicate
 * Return: 0; negative after op_fail().
 */
int unix_queue_collect(struct collect *c, Ckpt__UnixSock *m, int fd, int type);

/**
 * unix_queue_of() - what lies in a queue; all are read once per dump, when one is needed
 * @ino, @peer: as of unix_queues_find()
 * Return: valid until the next call; NULL: it is empty, or this kernel does not tell.
 */
const struct unix_queue *unix_queue_of(struct collect_tree *t, uint64_t ino, uint64_t peer);

/** unix_peers() - file_ops.finish: who is connected to whom */
int unix_peers(struct collect_tree *t);

/* ---- restore ---- */

/* One socket of the image. */
struct unix_end {
	uint64_t id;
	const Ckpt__UnixSock *m;
	const struct Ckpt__Socket *socket;
	int fd;   /* -EBADF: not made yet */
	int peer; /* of a stream that is gone: ours for a while; -EBADF */
	bool bound, connected;
	bool paired; /* with one that is gone */
	bool given;  /* to the plan, which closes it */
	bool later;  /* it is filled when all tasks are complete */
};

/* A listening socket that is gone, whose name those have that it had accepted. */
struct unix_gone {
	int fd, type;
	const ProtobufCBinaryData *name;
};

/* The file of a socket by its inode, for who may not ask for it. */
struct unix_kept {
	uint64_t ino;
	int file;
};

struct unix_world {
	struct unix_end *v; /* ascending by id */
	size_t n;
	bool filled, filled_late;
	struct unix_gone *gone;
	size_t n_gone, cap_gone;
	struct unix_kept *kept;
	size_t n_kept, cap_kept;
};

/** unix_end_of() - a socket of the image. Return: NULL: there is none such */
struct unix_end *unix_end_of(const struct unix_world *w, uint64_t id);

/** unix_fail() - op_fail() for a system call on a socket of the image */
int unix_fail(struct open_ctx *o, const struct unix_end *e, int err, const char *call);

/**
 * unix_listen() - have listen(2) called
 * @as: by whom; NULL: by us
 * Return: 0; negative after op_fail().
 */
int unix_listen(struct open_ctx *o, int fd, const Ckpt__UnixCred *as, int backlog);

/**
 * unix_address() - an address that leads to a socket, wherever its file is now
 * @to: the socket
 * @ret_file: closed by the caller when the address is not needed any more; negative: nothing
 * Return: whether it has a name.
 */
bool unix_address(const struct unix_world *w, int to, const ProtobufCBinaryData *name,
	struct unix_addr *ret, int *ret_file);

/**
 * unix_connect_to() - have connect(2) called
 * @as: by whom; NULL: by us
 * Return: 0; -errno of it, and nothing is said of that yet.
 */
int unix_connect_to(
	struct open_ctx *o, int fd, const struct unix_addr *to, const Ckpt__UnixCred *as);

/**
 * unix_connect() - the same, to a socket of ours
 * @to: the socket that has the name, by whatever path its file can be reached now
 * Return: 0; negative after op_fail().
 */
int unix_connect(struct open_ctx *o, int fd, int to, const ProtobufCBinaryData *name,
	const Ckpt__UnixCred *as);

/** unix_open() - file_ops.open: all sockets of the image at once, when the first is to be opened */
int unix_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

/** unix_opened_all() - file_ops.opened_all: what is in the queues, once all descriptions are there */
int unix_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd);

/** unix_go() - res.go: the queues that had to wait for the tasks. 0 or negative after op_fail() */
int unix_go(struct plan *p);

/* The size of a socket's buffer, while it is a larger one. */
struct unix_room {
	int fd, size, lock;
};

/** unix_room_make() - room to send whatever there is. Return: ended by unix_room_done() */
struct unix_room unix_room_make(int fd);
void unix_room_done(const struct unix_room *k);

/**
 * unix_send() - send a message, as who had sent it
 * @to: whose queue it comes into, for messages
 * @fd: the socket that sends it
 * @addr: NULL: to whom it is connected
 * Return: 0; -EAGAIN there is no room; else negative after op_fail().
 */
int unix_send(struct open_ctx *o, const struct unix_end *to, int fd, const Ckpt__UnixMessage *e,
	const struct unix_addr *addr);

/** unix_knock_all() - connect those who wait, in the order in which they will be accepted. 0 or op_fail() */
int unix_knock_all(struct open_ctx *o, struct unix_world *w, const struct unix_end *listener);

/** unix_reconnect() - connect one whose other end is outside to whoever has the name now. 0 or op_fail() */
int unix_reconnect(struct open_ctx *o, const struct unix_end *e);

/**
 * unix_bind() - give a socket its name
 * @path: where the file of the name shall be, which it takes the place of if it is dead; "": nowhere
 * @m: of which the file's mode and owner are; NULL: of no matter
 * Return: 0; negative after op_fail().
 */
int unix_bind(struct open_ctx *o, int fd, const ProtobufCBinaryData *name, const char *path,
	const Ckpt__UnixSock *m);

/** unix_name_taken() - whether somebody has an abstract name; of a path: no */
bool unix_name_taken(const ProtobufCBinaryData *name, int type);

/**
 * unix_as() - have a function run as somebody else
 * @cred: NULL: as nobody in particular
 * Where that can't be, it is run by us, with a warning.
 * Return: of @fn.
 */
int unix_as(struct open_ctx *o, const Ckpt__UnixCred *cred, int (*fn)(void *arg), void *arg);

#endif
