/*
 * wire.h - what two processes of one operation tell each other, of which one is in another pid namespace.
 *
 * Messages over a pair of SOCK_SEQPACKET sockets. A number of a process is sent as credentials: the kernel
 * translates it to the receiver's namespace. Source: unix(7) SCM_CREDENTIALS.
 */
#ifndef CKPT_CORE_WIRE_H
#define CKPT_CORE_WIRE_H

#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"

enum wire_kind {
	WIRE_LOG,      /* n: level; text */
	WIRE_PROGRESS, /* a of b bytes; text: the stage */
	WIRE_FAIL,     /* n: kind, a: errno, b: target; a record of three strings */
	WIRE_DONE,     /* a record: the result, whatever it is */
	WIRE_OWN       /* and more: what an operation has to say besides */
};

#define WIRE_TEXT    16384
#define WIRE_STRINGS 3

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

/**
 * wire_send_record() - a struct, and strings that it points to
 * @bytes: of @len; pointers to what both processes have are good in both, the others come as
 * @strings: WIRE_STRINGS, each may be NULL; NULL: none
 * Return: as wire_send(); -E2BIG
 */
int wire_send_record(int fd, const struct wire_msg *head, const void *bytes, size_t len,
	const char *const *strings);

/** wire_record() - what is in such a message. @strings: borrowed of it. Return: 0; -EBADMSG it is none */
int wire_record(
	const struct wire_msg *m, void *bytes, size_t len, const char *strings[WIRE_STRINGS]);

/** wire_send_error() - WIRE_FAIL. @err: not taken */
int wire_send_error(int fd, const struct ckpt_error *err);

/** wire_fail() - op_fail() with a WIRE_FAIL. Return: negative */
int wire_fail(struct ckpt_op *op, const struct wire_msg *m);

#endif
