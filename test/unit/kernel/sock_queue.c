/*
 * sock_queue.c - errors and unread datagrams of our own sockets, seen from outside and still there afterwards.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/kmem.h"
#include "kernel/sock_queue.h"

static struct kmem kmem;
static struct sock_queue_reader *reader;

static void setup(void)
{
	int r = kmem_open(&kmem);

	if (r == 0)
		r = sock_queue_open(&kmem, &reader);
	if (r == -ENOENT || r == -EPERM || r == -EINVAL)
		cr_skip_test("the memory of the kernel can't be read here");
	cr_assert_eq(r, 0, "%s", strerror(-r));
}

static void teardown(void)
{
	sock_queue_close(reader);
	kmem_close(&kmem);
}

TestSuite(sock_queue, .init = setup, .fini = teardown);

static struct sock_queue look(int fd, enum sock_queue_which which)
{
	struct sock_queue q;
	struct stat st;
	int r;

	cr_assert_eq(fstat(fd, &st), 0);
	r = sock_queue_read(reader, fd, st.st_ino, which, &q);
	cr_assert_eq(r, 0, "%s", strerror(-r));
	return q;
}

/* Bound to a port of its own. */
static int bound(struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	cr_assert_eq(bind(fd, (void *)ret, sizeof(*ret)), 0);
	cr_assert_eq(getsockname(fd, (void *)ret, &len), 0);
	return fd;
}

static int sender_to(const struct sockaddr_in *to, int recverr)
{
	struct sockaddr_in own;
	int fd = bound(&own);

	cr_assert_eq(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &recverr, sizeof(recverr)), 0);
	cr_assert_eq(connect(fd, (const void *)to, sizeof(*to)), 0);
	return fd;
}

static void wait_error(int fd)
{
	struct pollfd p = {.fd = fd};

	cr_assert_eq(poll(&p, 1, 2000), 1, "no error arrives");
}

Test(sock_queue, nothing)
{
	struct sockaddr_in a;
	int fd = bound(&a);
	struct sock_queue q = look(fd, SOCK_QUEUE_ERRORS);

	cr_assert_eq(q.error, 0);
	cr_assert_eq(q.n, 0);
	sock_queue_done(&q);
	q = look(fd, SOCK_QUEUE_UNREAD);
	cr_assert_eq(q.n, 0);
	sock_queue_done(&q);
	close(fd);
}

/* The whole message is there: IP, ICMP, and what it quotes. */
Test(sock_queue, refused)
{
	struct sockaddr_in to;
	int closed = bound(&to), fd, err;
	socklen_t len = sizeof(err);
	char got[16];
	struct iovec iov = {got, sizeof(got)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	close(closed);
	fd = sender_to(&to, 1);
	cr_assert_eq(send(fd, "hello", 5, 0), 5);
	wait_error(fd);
	for (int i = 0; i < 2; i++) {
		struct sock_queue q = look(fd, SOCK_QUEUE_ERRORS);
		const struct sock_packet *p = q.packets;

		cr_assert_eq(q.error, ECONNREFUSED);
		cr_assert_eq(q.n, 1);
		cr_assert_eq(p->ee.ee_errno, ECONNREFUSED);
		cr_assert_eq(p->ee.ee_origin, SO_EE_ORIGIN_ICMP);
		cr_assert_eq(p->ee.ee_type, ICMP_DEST_UNREACH);
		cr_assert_eq(p->ee.ee_code, ICMP_PORT_UNREACH);
		cr_assert_eq(p->payload, 20 + 8 + 20 + 8);
		cr_assert_eq(p->len, p->payload + 5);
		cr_assert_eq(memcmp(p->data + p->payload, "hello", 5), 0);
		cr_assert_eq(p->data[0], 0x45);
		cr_assert_eq(p->data[9], IPPROTO_ICMP);
		cr_assert_eq(memcmp(p->data + 12, "\x7f\0\0\1", 4), 0, "the offender is another");
		cr_assert_eq(p->data[20], ICMP_DEST_UNREACH);
		cr_assert_eq(memcmp(p->data + 20 + 8 + 20 + 2, &to.sin_port, 2), 0);
		sock_queue_done(&q);
	}
	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	cr_assert_eq(err, ECONNREFUSED, "the look took it away");
	cr_assert_eq(recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT), 5, "the look took it away");
	close(fd);
}

/* Without IP_RECVERR there is no queue. */
Test(sock_queue, pending)
{
	struct sockaddr_in to;
	int closed = bound(&to), fd;
	struct sock_queue q;

	close(closed);
	fd = sender_to(&to, 0);
	cr_assert_eq(send(fd, "hello", 5, 0), 5);
	wait_error(fd);
	q = look(fd, SOCK_QUEUE_ERRORS);
	cr_assert_eq(q.error, ECONNREFUSED);
	cr_assert_eq(q.n, 0);
	sock_queue_done(&q);
	close(fd);
}

/* Some have been taken over by a reader already, and one has been read. */
Test(sock_queue, unread)
{
	static const size_t lens[] = {4, 0, 9000, 1, 33};
	static uint8_t data[9000], got[9000];
	struct sockaddr_in to, from;
	int in = bound(&to), out = bound(&from);
	struct sock_queue q;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 131 + i / 251);
	cr_assert_eq(sendto(out, "x", 1, 0, (void *)&to, sizeof(to)), 1);
	for (size_t i = 0; i < 5; i++) {
		cr_assert_eq(
			sendto(out, data, lens[i], 0, (void *)&to, sizeof(to)), (ssize_t)lens[i]);
		if (i == 2)
			cr_assert_eq(recv(in, got, 1, MSG_DONTWAIT), 1);
	}
	for (int k = 0; k < 2; k++) {
		q = look(in, SOCK_QUEUE_UNREAD);
		cr_assert_eq(q.n, 5, "%zu", q.n);
		for (size_t i = 0; i < 5; i++) {
			const struct sock_packet *p = &q.packets[i];

			cr_assert_eq(p->len - p->payload, lens[i]);
			cr_assert_eq(memcmp(p->data + p->payload, data, lens[i]), 0);
			cr_assert_eq(p->transport, 20);
			cr_assert_eq(memcmp(p->data + 20, &from.sin_port, 2), 0);
			cr_assert_eq(p->segment, 0);
		}
		sock_queue_done(&q);
	}
	for (size_t i = 0; i < 5; i++)
		cr_assert_eq(
			recv(in, got, sizeof(got), MSG_DONTWAIT), (ssize_t)lens[i], "it is gone");
	close(in);
	close(out);
}

/* Another file than it is said to be. */
Test(sock_queue, other_inode)
{
	struct sockaddr_in a;
	int fd = bound(&a);
	struct sock_queue q;
	struct stat st;

	fstat(fd, &st);
	cr_assert_lt(sock_queue_read(reader, fd, st.st_ino + 1, SOCK_QUEUE_ERRORS, &q), 0);
	cr_assert_lt(sock_queue_read(reader, 1000000, st.st_ino, SOCK_QUEUE_ERRORS, &q), 0);
	close(fd);
}
