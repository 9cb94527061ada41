/*
 * unix_queues.c - what this process has sent to itself, seen in the queues.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/unix_queues.h"

static uint64_t ino_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static void read_queues(struct unix_queues *q, bool data)
{
	int r = unix_queues_read(q, data);

	if (r == -ENOENT || r == -EPERM || r == -EINVAL)
		cr_skip_test("no BPF iterators over unix sockets here");
	cr_assert_eq(r, 0, "%s", strerror(-r));
}

static void send_fd(int to, const char *text, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	cr_assert_eq(sendmsg(to, &h, 0), (ssize_t)strlen(text));
}

Test(unix_queues, buffers_one_by_one)
{
	const struct unix_queue *q;
	struct unix_queues all;
	char c[3];
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	cr_assert_eq(write(sv[0], "plain", 5), 5);
	send_fd(sv[0], "with", sv[0]);
	cr_assert_eq(write(sv[0], "x", 1), 1);
	cr_assert_eq(read(sv[1], c, 3), 3);
	read_queues(&all, false);
	q = unix_queues_find(&all, ino_of(sv[1]), 0);
	cr_assert(q);
	cr_expect_eq(q->peer, ino_of(sv[0]));
	cr_assert_eq(q->n, 3);
	cr_expect_eq(q->v[0].len, 5);
	cr_expect_eq(q->v[0].consumed, 3);
	cr_expect_eq(q->v[0].rights, false);
	cr_expect_eq(q->v[1].len, 4);
	cr_expect_eq(q->v[1].rights, true);
	cr_expect_eq(q->v[2].len, 1);
	cr_expect_eq(q->v[2].rights, false);
	cr_expect_null(unix_queues_find(&all, ino_of(sv[0]), 0), "nothing waits there");
	unix_queues_done(&all);
	close(sv[0]);
	close(sv[1]);
}

Test(unix_queues, what_waits_to_be_accepted)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
	const struct unix_queue *q;
	struct unix_queues all;
	char text[3000];
	socklen_t len;

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "ckpt-queues-%d", getpid());
	len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1);
	cr_assert_eq(bind(s, (void *)&a, len), 0);
	cr_assert_eq(listen(s, 4), 0);
	cr_assert_eq(connect(c, (void *)&a, len), 0);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7);
	cr_assert_eq(write(c, text, sizeof(text)), (ssize_t)sizeof(text));
	read_queues(&all, true);
	q = unix_queues_find(&all, 0, ino_of(c));
	cr_assert(q);
	cr_assert_eq(q->n, 1);
	cr_expect_eq(q->v[0].len, sizeof(text));
	cr_expect_eq(q->v[0].paged, 0);
	cr_expect_eq(memcmp(q->v[0].data, text, sizeof(text)), 0);
	unix_queues_done(&all);
	close(c);
	close(s);
}

/* A second look does not find an empty datagram by a peek; here it is, with who sent it. */
Test(unix_queues, who_sent_an_empty_one)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const struct unix_queue *q;
	struct unix_queues all;
	socklen_t len;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "ckpt-empty-%d", getpid());
	len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1);
	cr_assert_eq(bind(sv[0], (void *)&a, len), 0);
	cr_assert_eq(send(sv[0], "", 0, 0), 0);
	cr_assert_eq(send(sv[0], "x", 1, 0), 1);
	read_queues(&all, false);
	q = unix_queues_find(&all, ino_of(sv[1]), 0);
	cr_assert(q);
	cr_assert_eq(q->n, 2);
	cr_expect_eq(q->v[0].len, 0);
	cr_expect_eq(q->v[0].from.len, len);
	cr_expect_eq(memcmp(&q->v[0].from.un, &a, len), 0);
	cr_expect_eq(q->v[1].len, 1);
	unix_queues_done(&all);
	close(sv[0]);
	close(sv[1]);
}
