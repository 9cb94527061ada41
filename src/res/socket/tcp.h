/*
 * tcp.h - TCP sockets: what a dump holds of them until the program is dead or goes on, and what a
 * restore does when all else is done.
 *
 * A dump that ends the program goes like this:
 *	1. (finish)  the connections are locked (kernel/netlock.h): by a lock that goes when we die
 *	2. (finish)  their state is read, see kernel/tcp_repair.h
 *	3. (commit)  the image exists
 *	4. (seal)    apart, so that our death breaks nothing off: the lock becomes one that stays, the
 *	             program is killed, and our duplicates of its sockets are put into repair mode
 *	5. (done)    they are closed: nothing is sent, no half-dead connection is in the way of a restore
 * A restore:
 *	1. (open)    connections are made in repair mode, behind the lock
 *	2. (go)      when all tasks are complete, apart: the lock goes, the mode ends, packets flow
 */
#ifndef CKPT_RES_SOCKET_TCP_H
#define CKPT_RES_SOCKET_TCP_H

#include <sys/socket.h>

#include "kernel/netlock.h"
#include "kernel/tcp_backlog.h"
#include "kernel/tcp_numbers.h"
#include "kernel/sock_diag.h"
#include "kernel/tcp_repair.h"
#include "res/socket/socket.h"

struct Ckpt__Tcp;
struct Ckpt__TcpEnd;
struct Ckpt__TcpKey;
struct Ckpt__TcpState;

#define TCP_LOCK_PREFIX "ckpt-"

/* A lock while we live. */
struct tcp_lock {
	int nft; /* the socket that owns it; -EBADF: nothing is locked */
	char name[NETLOCK_NAME_LEN];
	struct netlock_conn *v;
	size_t n, cap;
	size_t listeners; /* the last of them: sockets that listen */
};

/* A connection of the program. */
struct tcp_held {
	uint64_t id;
	int fd;     /* our duplicate */
	bool reset; /* its peer is told when the program is dead */
	size_t taken; /* of a socket that listens: connections in its record that nobody has accepted */
};

struct tcp_hold {
	struct tcp_held *v; /* ascending by id */
	size_t n, cap;
	struct tcp_lock lock;
	bool dies;         /* the dump ends the program: all is held until then */
	enum ckpt_tcp how; /* what is to become of those whose peer is not in the tree */

	struct tcp_held *listeners; /* those that listen */
	size_t n_listeners, cap_listeners;
	bool untakable; /* tried: connections cannot be taken out of a socket here; it stays so */
	struct tcp_lock ports; /* of these, while connections are taken out of them */
	unsigned int
		unaccepted; /* connections that wait there and are not taken: they would be reset */

	struct sock_diag told; /* of keys; read for the first socket that may have some */
	bool vrf_asked;
};

/** tcp_hold_init() - hold nothing */
void tcp_hold_init(struct tcp_hold *h, bool dies, enum ckpt_tcp how);

/**
 * tcp_hold_seal() - the image exists: kill the program, so that its peers notice nothing
 * @crid, @dir: of the image, by which the lock is found again
 * @kill_all: async-signal-safe; sends SIGKILL to all tasks
 * Return: 0; negative after op_fail(), and nobody was killed
 */
int tcp_hold_seal(struct ckpt_op *op, struct tcp_hold *h, uint64_t crid, const char *dir,
	void (*kill_all)(void *arg), void *arg);

/** tcp_hold_done() - close all, take away the lock if it was not sealed */
void tcp_hold_done(struct tcp_hold *h);

/** tcp_end_set() - an address as a message; freed with the one that it becomes part of. Return: 0; -ENOMEM */
int tcp_end_set(const struct sockaddr_storage *a, struct Ckpt__TcpEnd **ret);

/** tcp_end_get() - the address of a message; NULL: any. Return: its length; 0: it is none */
socklen_t tcp_end_get(int family, const struct Ckpt__TcpEnd *m, struct sockaddr_storage *ret);

/**
 * tcp_collect_unread() - the state of a connection that has ended: what was received
 * A look at no more than is there does not come to the error behind it.
 * Return: 0; -ENOMEM
 */
int tcp_collect_unread(int fd, struct Ckpt__Tcp *m);

/**
 * tcp_collect_again() - the kind of a socket that was being connected, and its state, as they are by now
 * @m: its peer is set, or found out if it is connected
 * Return: 0; -ENOMEM; -errno
 */
int tcp_collect_again(int fd, struct Ckpt__Tcp *m);

struct tcp_key;

/** tcp_keys_verdict() - what can't be saved because of the keys by which segments are signed: for verdict() */
struct file_verdict tcp_keys_verdict(const struct file_look *l);

/**
 * tcp_keys_collect() - keys of TCP_MD5SIG
 * @l: with fd and sock
 * @m: its kind is set
 * Return: 0; negative after op_fail().
 */
int tcp_keys_collect(struct collect *c, const struct file_look *l, struct Ckpt__Tcp *m);

/** tcp_keys_forget() - the connection of a record has ended meanwhile */
void tcp_keys_forget(struct Ckpt__Tcp *m);

/** tcp_key_get() - a key of a record. Return: 0; -EBADMSG: it is none */
int tcp_key_get(const struct Ckpt__TcpKey *m, struct tcp_key *ret);

/** tcp_keys_get() - all of a socket. @ret: the caller frees it. Return: 0; -EBADMSG; -ENOMEM */
int tcp_keys_get(const struct Ckpt__Tcp *m, struct tcp_key **ret);

/** tcp_key_for() - that which a socket has for a peer; async-signal-safe. Return: ret; NULL: none */
const struct tcp_key *tcp_key_for(
	const struct Ckpt__Tcp *m, const struct sockaddr_storage *peer, struct tcp_key *ret);

/**
 * tcp_keys_set() - give them to a new socket, before it is connected
 * @family: of the socket
 * Return: 0; negative after op_fail().
 */
int tcp_keys_set(struct open_ctx *o, const struct Ckpt__Tcp *m, int family, int fd);

/**
 * tcp_connecting_peers() - find out whom sockets connect to that are not answered yet
 * Those that have ended meanwhile are no longer held.
 * Return: 0; negative after op_fail().
 */
int tcp_connecting_peers(struct collect_tree *t);

/** tcp_connecting_again() - which of them were answered before all was locked. Return: 0; negative after op_fail() */
int tcp_connecting_again(struct collect_tree *t);

/** tcp_lock_add() - a connection to be locked, or behind them a socket that listens. Return: 0; -EINVAL: it is none; -ENOMEM */
int tcp_lock_add(struct tcp_lock *l, int family, const struct Ckpt__Tcp *m);

/** tcp_lock_waiting() - the same of all that nobody has accepted of a socket that listens */
int tcp_lock_waiting(struct tcp_lock *l, int family, const struct Ckpt__Tcp *m);

/** tcp_lock_sort() - all have been added */
void tcp_lock_sort(struct tcp_lock *l);

/** tcp_inside() - whether the other end of a connection is among those of a sorted lock, too */
bool tcp_inside(const struct tcp_lock *l, int family, const struct Ckpt__Tcp *m);

/**
 * tcp_lock_try() - lock them
 * @suffix: of the name, for a second one at the same time; "" or "-ports"
 * Return: 0; -errno
 */
int tcp_lock_try(struct tcp_lock *l, const char *suffix);

/** tcp_lock_take() - lock them; where that can't be it is warned of */
void tcp_lock_take(struct ckpt_op *op, struct tcp_lock *l);

/** tcp_lock_done() - take it away, and free */
void tcp_lock_done(struct tcp_lock *l);

/** tcp_lock_name() - the name of the lock that stays for a checkpoint */
void tcp_lock_name(uint64_t crid, char *buf, size_t len);

/** tcp_lock_comment() - what a lock that stays says of its image */
void tcp_lock_comment(const char *dir, char buf[NETLOCK_COMMENT_MAX + 1]);

/**
 * tcp_locks_clean() - take away locks of images that are gone, and of dead dumps; it is warned of
 * @keep: not that of this checkpoint, wherever its image may be now; 0: none
 */
void tcp_locks_clean(struct ckpt_op *op, uint64_t keep);

#define TCP_TEXT_MAX 160

/** tcp_text() - "TCP 127.0.0.1:80 -> 127.0.0.1:5000". Return: buf */
const char *tcp_text(const struct Ckpt__Tcp *m, char buf[TCP_TEXT_MAX]);

/** tcp_open_fail() - op_fail() for a system call on a socket */
int tcp_open_fail(struct open_ctx *o, const struct Ckpt__Tcp *m, int err, const char *call);

/**
 * tcp_ended_open() - make of a new socket one whose connection has ended
 * @fd: the socket
 * Return: 0; negative after op_fail().
 */
int tcp_ended_open(struct open_ctx *o, const struct Ckpt__Tcp *m, int fd);

/** tcp_urgent_windows() - those of a connection of which at first only what is before an urgent byte is received */
void tcp_urgent_windows(const struct Ckpt__TcpState *s, struct tcp_windows *w);

/**
 * tcp_urgent_again() - have a connection that was made again receive an urgent byte, and what is behind it
 * Nobody owns the socket yet who could be sent a SIGURG.
 * @fd: in repair mode, behind the lock
 * Return: 0; -errno
 */
int tcp_urgent_again(const struct Ckpt__Tcp *m, int family, int fd);

/** tcp_rooms() - the sizes that the buffers had: those that the program did not set grow on by themselves */
void tcp_rooms(int fd, const struct Ckpt__TcpState *s);

/* What a restore keeps until all tasks are complete. */
struct tcp_plan {
	bool done;                   /* all sockets are as they were */
	struct tcp_lock lock;        /* ours; the image's may be there as well */
	char name[NETLOCK_NAME_LEN]; /* of the image's */
	bool mapped;                 /* addresses are those that the user wishes */
	uint64_t away_ns;            /* since the dump */
	bool same_clock; /* of TCP's time stamps: it is still the machine's same start */
};

void tcp_plan_init(struct tcp_plan *p);
void tcp_plan_done(struct tcp_plan *p);

/** tcp_away_ns() - how long ago that was; since_ns: CLOCK_REALTIME */
uint64_t tcp_away_ns(uint64_t since_ns);

/**
 * tcp_late() - have the peers of all connections send again now what was lost meanwhile
 * It matters for how long they wait, no more: what fails is passed over.
 */
void tcp_late(const struct plan *p);

/** tcp_map_wrong() - Return: NULL; or the static reason why a text is no value of --tcp-map */
const char *tcp_map_wrong(const char *text);

/** tcp_map() - give all sockets the addresses that the user wishes. Return: 0; negative after op_fail() */
int tcp_map(struct open_ctx *o);

struct sock_user;

/** tcp_users_outside() - who outside of the tree has each of some sockets; see sock_users(). Return: 0; -errno */
int tcp_users_outside(const struct collect_tree *t, struct sock_user *v, size_t n);

/**
 * tcp_check_shared() - refuse connections that a process outside has too: they would stay in repair mode for it
 * Return: 0; negative after op_fail().
 */
int tcp_check_shared(struct collect_tree *t);

/** tcp_state_keep() - what was read of a connection becomes its record. Return: 0; -ENOMEM */
int tcp_state_keep(const struct tcp_state *t, struct Ckpt__TcpState *m);

/**
 * tcp_backlog_collect() - read what nobody has accepted yet; what was found is in the records of what listens
 * The lock on its ports is there until tcp_lock_done(&t->tcp->ports).
 * Return: 0; negative after op_fail().
 */
int tcp_backlog_collect(struct collect_tree *t);

/* What nobody had accepted, at a restore. */
struct tcp_backlog_go {
	const struct plan *p;
	int inject4, inject6;   /* of the caller */
	struct tcp_listener *v; /* all that listen */
	size_t n;
	size_t put;                     /* how many are on their way */
	const struct Ckpt__Tcp *failed; /* one of those that are concerned */
};

/** tcp_backlog_go_new() - prepare that. Return: 0; -ENOMEM; in any case it is ended by tcp_backlog_go_done() */
int tcp_backlog_go_new(struct tcp_backlog_go *g, const struct plan *p);

/**
 * tcp_backlog_go() - put all into the sockets that listen again; behind the lock; async-signal-safe
 * Return: 0; -errno: some are missing, see failed
 */
int tcp_backlog_go(struct tcp_backlog_go *g);

void tcp_backlog_go_done(struct tcp_backlog_go *g);

/* File operations, and the resource's go(): see tcp_finish.c, tcp_open.c, tcp_go.c. */
int tcp_finish(struct collect_tree *t);
int tcp_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);
int tcp_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd);
int tcp_go(struct plan *p);

extern const struct res res_tcp;

#endif
