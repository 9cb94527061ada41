/*
 * pidns_wire.h - what the command and its coordinator, which is in another pid namespace, tell each other.
 *
 * Messages over a pair of SOCK_SEQPACKET sockets. A number of a process is sent as credentials: the kernel
 * translates it to the receiver's namespace. Source: unix(7) SCM_CREDENTIALS.
 */
#ifndef CKPT_RESTORE_PIDNS_WIRE_H
#define CKPT_RESTORE_PIDNS_WIRE_H

#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"

enum wire_kind {
	WIRE_LOG,        /* n: level; text */
	WIRE_PROGRESS,   /* a of b bytes; text: the stage */
	WIRE_TASK,       /* n: its number inside; pid: outside */
	WIRE_FOREGROUND, /* pid: the process group that is to have the terminal */
	WIRE_READY, /* all is made and nothing runs; fd: the master of a new terminal, or none */
	WIRE_GO,    /* the answer; n: the root's number outside */
	WIRE_DONE,  /* text: a struct ckpt_restore_result */
	WIRE_FAIL   /* n: kind, a: errno, b: target; text: three strings */
};

#define WIRE_TEXT 16384

struct wire_msg {
	struct {
		int32_t kind, n;
		uint64_t a, b;
	} head;
	pid_t pid; /* sent: 0: none */
	int fd;    /* negative: none; received: the caller's */
	size_t len;
	char text[WIRE_TEXT + 1]; /* as received, with a NUL behind */
};

/** wire_pair() - ends[0] is the one that translates numbers. Return: 0; -errno */
int wire_pair(int ends[2]);

/**
 * wire_send() - one message
 * @text: of @len bytes, cut where it is longer than WIRE_TEXT
 * Return: 0; -EPIPE nobody hears; -errno.
 */
int wire_send(int fd, const struct wire_msg *head, const void *text, size_t len);

/** wire_recv() - the next message; waits for it. Return: 1; 0 the other side is gone; -errno */
int wire_recv(int fd, struct wire_msg *ret);

/** wire_send_error() - WIRE_FAIL. @err: not taken */
int wire_send_error(int fd, const struct ckpt_error *err);

/** wire_fail() - op_fail() with a WIRE_FAIL. Return: negative */
int wire_fail(struct ckpt_op *op, const struct wire_msg *m);

#endif
