/*
 * conn.c - see conn.h.
 *
 * Source: JSON-RPC 2.0 says nothing of framing; the header is that of the Language Server Protocol.
 */
#include "serve/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/serve.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

#define READ_BYTES  65536
#define HEADER_MAX  1024
#define HEADER_NAME "Content-Length:"
#define HEADER_ANY  "Content-" /* what all of the protocol's begin with */

void conn_init(struct conn *c, int fd)
{
	*c = (struct conn){.fd = fd};
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void conn_drop_fds(struct conn *c)
{
	for (size_t i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	c->n_fds = 0;
}

void conn_done(struct conn *c)
{
	conn_drop_fds(c);
	strbuf_done(&c->in);
	strbuf_done(&c->out);
	c->fd = fd_close(c->fd);
}

static void take_fds(struct conn *c, struct msghdr *msg)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
		const int *fds = (const int *)CMSG_DATA(m);
		size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (c->n_fds < CONN_FDS_MAX)
				c->fds[c->n_fds++] = fds[i];
			else
				close(fds[i]);
		}
	}
}

/* What is taken makes room. */
static void compact(struct strbuf *sb, size_t *at)
{
	if (!*at)
		return;
	memmove(sb->s, sb->s + *at, sb->len - *at);
	sb->len -= *at;
	*at = 0;
}

int conn_fill(struct conn *c)
{
	static char buf[READ_BYTES];
	union {
		char room[CMSG_SPACE(CONN_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	take_fds(c, &msg);
	if (n == 0)
		c->ended = true;
	compact(&c->in, &c->in_at);
	return n && strbuf_addn(&c->in, buf, (size_t)n) < 0 ? -ENOMEM : 0;
}

/* The length that a header tells. Return: bytes of the header; 0: not complete; negative: no such */
static int header(const char *s, size_t len, uint64_t *ret_body)
{
	const char *end = memmem(s, len, "\r\n\r\n", 4), *p = s;
	bool found = false;

	if (!end)
		return len > HEADER_MAX ? -EBADMSG : 0;
	while (p < end + 2) {
		const char *eol = memmem(p, (size_t)(end + 2 - p), "\r\n", 2);

		if (strncasecmp(p, HEADER_NAME, strlen(HEADER_NAME)) == 0) {
			p += strlen(HEADER_NAME);
			str_skip_blanks(&p);
			if (str_u64(&p, 10, ret_body) < 0 || p != eol)
				return -EBADMSG;
			found = true;
		}
		p = eol + 2;
	}
	return found ? (int)(end + 4 - s) : -EBADMSG;
}

static int next_headed(struct conn *c, const char *s, size_t len, const char **ret, size_t *ret_len)
{
	uint64_t body = 0;
	int n = header(s, len, &body);

	if (n <= 0)
		return n;
	if (body > SERVE_MESSAGE_MAX)
		return -EMSGSIZE;
	if (len - (size_t)n < body)
		return 0;
	c->headers = true;
	*ret = s + n;
	*ret_len = body;
	c->in_at += (size_t)n + body;
	return 1;
}

static int next_line(struct conn *c, const char *s, size_t len, const char **ret, size_t *ret_len)
{
	const char *end = memchr(s, '\n', len);
	/* the last line of one who has said all */
	size_t n = end ? (size_t)(end - s) : c->ended ? len : 0;

	if (n > SERVE_MESSAGE_MAX || (!n && !end && len > SERVE_MESSAGE_MAX))
		return -EMSGSIZE;
	if (!end && !c->ended)
		return 0;
	c->headers = false;
	*ret = s;
	*ret_len = n;
	c->in_at += n + (end != NULL);
	return 1;
}

int conn_next(struct conn *c, const char **ret, size_t *ret_len)
{
	const char *s;
	size_t len;
	int r;

	while (c->in_at < c->in.len && strchr(" \t\r\n", c->in.s[c->in_at]))
		c->in_at++;
	len = c->in.len - c->in_at;
	if (!len) {
		c->since = 0;
		return 0;
	}
	s = c->in.s + c->in_at;
	r = strncasecmp(s, HEADER_ANY, MIN(len, strlen(HEADER_ANY))) == 0
		    ? next_headed(c, s, len, ret, ret_len)
		    : next_line(c, s, len, ret, ret_len);
	c->since = r ? 0 : c->since ? c->since : now_ns();
	return r;
}

int conn_send(struct conn *c, const char *text, size_t len)
{
	compact(&c->out, &c->out_at);
	if (c->broken)
		return 0;
	if (c->headers)
		strbuf_addf(&c->out, HEADER_NAME " %zu\r\n\r\n", len);
	strbuf_addn(&c->out, text, len);
	if (!c->headers)
		strbuf_addc(&c->out, '\n');
	return c->out.err ? -ENOMEM : 0;
}

void conn_flush(struct conn *c)
{
	while (!c->broken && conn_unsent(c)) {
		ssize_t n = send(c->fd, c->out.s + c->out_at, conn_unsent(c), MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			c->broken = true;
		else
			c->out_at += (size_t)n;
	}
}
