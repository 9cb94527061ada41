/*
 * conn.h - one connection: messages come in and go out, in either of two framings.
 *
 * A message is a line, or stands behind a header "Content-Length: N" and an empty line, as editors speak.
 * Answers are framed as the last message was. Descriptors that come along (SCM_RIGHTS) belong to
 * the next message that is complete.
 */
#ifndef CKPT_SERVE_CONN_H
#define CKPT_SERVE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/str.h"

#define CONN_FDS_MAX 32

struct conn {
	int fd;
	struct strbuf in, out;
	size_t in_at;  /* of in, what is taken */
	size_t out_at; /* of out, what is written */
	bool headers;  /* of the last message */
	bool ended;    /* nothing more will come */
	bool broken;   /* nobody reads any more */
	uint64_t
		since; /* when the message that is not complete began, CLOCK_MONOTONIC ns; 0: none has */
	int fds[CONN_FDS_MAX];
	size_t n_fds;
};

/** conn_init() - @fd is taken, and made non-blocking */
void conn_init(struct conn *c, int fd);
void conn_done(struct conn *c);

/** conn_fill() - read what is there. Return: 0; -errno, the connection is of no more use */
int conn_fill(struct conn *c);

/**
 * conn_next() - the next complete message
 * @ret: within the connection, valid until the next call of conn_fill(); not NUL-terminated
 * Return: 1; 0: there is none yet; -EMSGSIZE, -EBADMSG: what follows can't be read
 */
int conn_next(struct conn *c, const char **ret, size_t *ret_len);

/** conn_send() - a message, sent as the other side takes it. Return: 0; -ENOMEM */
int conn_send(struct conn *c, const char *text, size_t len);

/** conn_flush() - write what can be written now */
void conn_flush(struct conn *c);

/** conn_unsent() - bytes that are still to be written */
static inline size_t conn_unsent(const struct conn *c)
{
	return c->out.len - c->out_at;
}

/** conn_drop_fds() - close the descriptors that came along */
void conn_drop_fds(struct conn *c);

#endif
