/*
 * wire.c - see wire.h.
 */
#include "core/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/fd.h"
#include "util/vec.h"

int wire_pair(int ends[2])
{
	int on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	return setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Room for one descriptor and credentials. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void add_control(
	struct msghdr *h, struct cmsghdr **at, int type, const void *data, size_t len)
{
	*at = *at ? CMSG_NXTHDR(h, *at) : CMSG_FIRSTHDR(h);
	(*at)->cmsg_level = SOL_SOCKET;
	(*at)->cmsg_type = type;
	(*at)->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(*at), data, len);
}

int wire_send(int fd, const struct wire_msg *head, const void *text, size_t len)
{
	struct ucred cred = {.pid = head->pid, .uid = getuid(), .gid = getgid()};
	size_t cut = MIN(len, (size_t)WIRE_TEXT);
	struct iovec iov[] = {{(void *)&head->head, sizeof(head->head)}, {(void *)text, cut}};
	union control control = {0};
	struct msghdr h = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *at = NULL;

	if (head->pid)
		add_control(&h, &at, SCM_CREDENTIALS, &cred, sizeof(cred));
	if (head->fd >= 0)
		add_control(&h, &at, SCM_RIGHTS, &head->fd, sizeof(int));
	h.msg_controllen = (head->pid ? CMSG_SPACE(sizeof(cred)) : 0) +
			   (head->fd >= 0 ? CMSG_SPACE(sizeof(int)) : 0);
	while (sendmsg(fd, &h, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void take_control(struct msghdr *h, struct wire_msg *ret)
{
	struct ucred cred;
	int fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			ret->pid = cred.pid;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			fd_close(ret->fd);
			ret->fd = fd;
		}
	}
}

int wire_recv(int fd, struct wire_msg *ret)
{
	struct iovec iov[] = {{&ret->head, sizeof(ret->head)}, {ret->text, WIRE_TEXT}};
	union control control;
	struct msghdr h = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	while ((n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC)) < 0)
		if (errno != EINTR)
			return -errno;
	if (n < (ssize_t)sizeof(ret->head))
		return 0;
	ret->pid = 0;
	ret->fd = -EBADF;
	ret->len = (size_t)n - sizeof(ret->head);
	ret->text[ret->len] = 0;
	take_control(&h, ret);
	return 1;
}

/* ------------------------------------------------------------------ records */

/* Behind the bytes: of which strings there are, bit by bit; the strings. */
int wire_send_record(int fd, const struct wire_msg *head, const void *bytes, size_t len,
	const char *const *strings)
{
	char text[WIRE_TEXT];
	size_t n = len + 1;

	if (n > sizeof(text))
		return -E2BIG;
	if (len)
		memcpy(text, bytes, len);
	text[len] = 0;
	for (size_t i = 0; strings && i < WIRE_STRINGS; i++) {
		size_t more = strings[i] ? strlen(strings[i]) + 1 : 0;

		if (!more || n + more > sizeof(text))
			continue;
		memcpy(text + n, strings[i], more);
		text[len] = (char)(text[len] | 1 << i);
		n += more;
	}
	return wire_send(fd, head, text, n);
}

int wire_record(
	const struct wire_msg *m, void *bytes, size_t len, const char *strings[WIRE_STRINGS])
{
	const char *at = m->text + len + 1, *end = m->text + m->len;

	if (m->len < len + 1)
		return -EBADMSG;
	if (len)
		memcpy(bytes, m->text, len);
	for (size_t i = 0; i < WIRE_STRINGS; i++) {
		strings[i] = m->text[len] & 1 << i && at < end ? at : NULL;
		if (strings[i])
			at += strlen(at) + 1;
	}
	return 0;
}

int wire_send_error(int fd, const struct ckpt_error *err)
{
	struct wire_msg m = {
		.head = {WIRE_FAIL, err->kind, (uint64_t)err->err, err->target}, .fd = -EBADF};

	return wire_send_record(
		fd, &m, NULL, 0, (const char *[WIRE_STRINGS]){err->object, err->call, err->advice});
}

int wire_fail(struct ckpt_op *op, const struct wire_msg *m)
{
	const char *strings[WIRE_STRINGS];

	if (wire_record(m, NULL, 0, strings) < 0)
		memset(strings, 0, sizeof(strings));
	op_target(op, (enum ckpt_target_state)m->head.b);
	return op_fail(op, (enum ckpt_kind)m->head.n, (int)m->head.a, strings[1], strings[2], "%s",
		strings[0] ? strings[0] : "the operation");
}
