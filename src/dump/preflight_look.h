/*
 * preflight_look.h - the parts of a preflight among themselves: one look per file.
 */
#ifndef CKPT_DUMP_PREFLIGHT_LOOK_H
#define CKPT_DUMP_PREFLIGHT_LOOK_H

#include <stdint.h>
#include <sys/socket.h>

#include "dump/preflight.h"
#include "kernel/mountinfo.h"
#include "res/file/files.h"

/* One end of a pipe. */
struct pipe_end {
	uint64_t ino;
	pid_t pid;
	int fd;
	bool reads, writes;
};

/* A unix socket. */
struct unix_look {
	uint64_t ino;
	pid_t pid;
	int fd;
	int type;
};

/* The ends of a connection of TCP, as packets have them; no padding, so that they can be compared as bytes. */
struct tcp_look_end {
	uint16_t family, port;
	uint8_t addr[16];
};
struct tcp_look_ends {
	struct tcp_look_end local, peer;
};

/* A connection of TCP. */
struct tcp_look {
	uint64_t ino;
	pid_t pid;
	int fd;
	struct tcp_look_ends ends;
};

/* A descriptor of a pseudo terminal. */
struct terminal_end {
	dev_t devpts; /* of its /dev/pts; 0: not known, as it was opened as /dev/tty */
	uint32_t index;
	pid_t session; /* of a master, as in struct pty_id */
	pid_t pid;
	int fd;
	char *link; /* owned */
	bool master, hung_up;
};

/* Files that can be saved, by a few bits of their inode: the next descriptor of one is, too. */
struct plain_files {
	struct {
		dev_t dev;
		ino_t ino;
	} v[64];
};

/** What the looks at all processes share; of a part of a look, what it has found. */
struct look_tree {
	const struct look_tree *outer; /* of a part: the tree that it will go into; else NULL */
	struct {
		pid_t pid, parent;
	} * v; /* the root first; its parent is not asked for: 0 */
	size_t n, cap;
	struct pipe_end *pipes;
	size_t n_pipes, cap_pipes;
	struct unix_look *unix_socks;
	size_t n_unix, cap_unix;
	struct tcp_look *tcp;
	size_t n_tcp, cap_tcp;
	struct terminal_end *terminals;
	size_t n_terminals, cap_terminals;
	struct fdpolicy *policy;  /* what the user says of descriptors; or NULL */
	struct mount_list mounts; /* of the outermost, others borrow it; empty: not known */
	char *cgroup;             /* text of the cgroup file that was looked at last, owned */
	struct stat *own_ns;      /* our own namespaces, in the order of their table; as mounts */
	bool breaking;            /* somewhere a lease is being broken */
	struct plain_files plain; /* what is known of before */
	uint64_t own_netns;       /* cookie of our network namespace; 0: not yet asked */
	dev_t plain_dev; /* the last device whose file system was found to be an ordinary one */
};

/** What the parts of the look at one process share. */
struct look {
	struct ckpt_op *op;
	struct preflight_report *report;
	struct look_tree *tree;
	pid_t pid, parent; /* parent: 0 for the root */
	bool gone;         /* it has ended; no reason to fail, unless it is the root */
	bool marked;       /* it may have a thread of libckpt */
	char comm[64];
	pid_t tid;  /* a thread that is alive: pid, unless its first thread has ended */
	int procfd; /* /proc/TID */
	int fd;     /* the descriptor that is looked at, -1: none */
};

/** What is known of a kind of thing, without the thing itself. */
struct look_kind {
	const char *resource;
	enum ckpt_verdict verdict;
	const char *reason, *advice; /* static, or NULL */
};

/** look_found() - add one thing; object is a printf format. Return: 0 or after op_fail() */
int look_found(struct look *l, const struct look_kind *kind, const char *object, ...)
	__attribute__((format(printf, 3, 4)));

/** look_push() - add one thing that is made already; what it owns is taken, also by a failure */
int look_push(struct look *l, struct ckpt_explain_item *item);

/** look_add() - have another process looked at later, a child of @parent. 0 or after op_fail() */
int look_add(struct look *l, pid_t parent, pid_t pid);

/**
 * look_fail() - op_fail() for a part of /proc/PID that can't be read; -ESRCH is the target's death
 * Of a descendant that is no failure: it is noted in l->gone. Return: negative.
 */
int look_fail(struct look *l, int err, const char *what);

/** One part of a look: @l is its own, what it finds goes over. Return: 0 or after op_fail() */
typedef int look_part(struct look *l, size_t i, void *arg);

/**
 * look_parts() - a look in @n parts, side by side where there are processors
 * What they find is put together in their order, so that it does not matter who was first.
 * @one: called by several threads at once, each time with another i
 * Return: 0, or of the first part that failed
 */
int look_parts(struct look *l, size_t n, look_part *one, void *arg);

/** look_own_namespaces() - read ours, which those of all are compared with. 0 or after op_fail() */
int look_own_namespaces(struct look *l);

/*
 * The looks. Return: 0 or after op_fail(). look_task() comes first: it returns 1 when there is no
 * more to look at (a zombie, a kernel thread).
 */
int look_task(struct look *l);
int look_threads(struct look *l);
int look_ipc(struct look *l);
int look_namespaces(struct look *l);
int look_cgroup(struct look *l);
int look_files(struct look *l);
int look_pipes(struct look *l);       /* last: when all processes have been looked at */
int look_unix_socks(struct look *l);  /* last, like look_pipes() */
int look_connections(struct look *l); /* last, like look_pipes() */
int look_memory(struct look *l);

/** look_terminal() - note a descriptor of a pseudo terminal, for look_terminals(). 0 or after op_fail() */
int look_terminal(struct look *l, const struct file_look *f);
int look_terminals(struct look *l); /* last, like look_pipes() */
void look_terminals_done(struct look_tree *t);

/** look_unix_sock() - note a unix socket, for look_unix_socks(). 0 or after op_fail() */
int look_unix_sock(struct look *l, const struct file_look *f);

/** look_unix_outside() - whether the other end of a unix socket is outside of the tree that is dumped */
bool look_unix_outside(const struct collect *c, const struct file_look *f);

/** look_is_connection() - whether it is one of TCP, and the look is deep enough to say more of it */
bool look_is_connection(const struct look *l, const struct file_look *f);

/** look_connection() - note one, for look_connections(). 0 or after op_fail() */
int look_connection(struct look *l, const struct file_look *f);

/** look_sock_ends() - both addresses of a socket of the target. Return: whether it has them */
bool look_sock_ends(
	struct look *l, int fd, struct sockaddr_storage *local, struct sockaddr_storage *peer);

/** look_sock() - ask a socket of the target what it is. Return: whether it could be asked */
bool look_sock(struct look *l, int fd, struct sock_look *ret);

/** look_socket_kind() - why a socket that no resource saves is not */
struct look_kind look_socket_kind(const struct sock_look *s);

/**
 * look_socket() - what a socket is, for people: "tcp 127.0.0.1:80, listening"
 * @text:  filled; empty when it can't be told
 * A copy of the descriptor is taken (pidfd_getfd) and closed again, which the target can't see.
 */
void look_socket(struct look *l, int fd, char *text, size_t len);

#endif
