/*
 * A socket that was being connected, looked at again: by now it may be connected, or refused, or neither.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/tcp.pb-c.h"
#include "res/socket/tcp.h"

static struct sockaddr_in at;

static int listener(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(at);

	at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cr_assert_eq(bind(l, (struct sockaddr *)&at, len), 0);
	cr_assert_eq(listen(l, 0), 0);
	cr_assert_eq(getsockname(l, (struct sockaddr *)&at, &len), 0);
	return l;
}

static int begin(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), -1);
	cr_assert_eq(errno, EINPROGRESS);
	return fd;
}

static Ckpt__Tcp *connecting(void)
{
	Ckpt__Tcp *m = msg_new(Ckpt__Tcp, CKPT__TCP__INIT);

	m->kind = CKPT__TCP__KIND__CONNECTING;
	m->state = msg_new(Ckpt__TcpState, CKPT__TCP_STATE__INIT);
	return m;
}

static void look(int fd, Ckpt__Tcp *m, Ckpt__Tcp__Kind want)
{
	cr_assert_eq(tcp_collect_again(fd, m), 0);
	cr_expect_eq(m->kind, want, "%d", m->kind);
}

Test(tcp_connecting, answered)
{
	int l = listener(), fd = begin();
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	Ckpt__Tcp *m = connecting();

	cr_assert_eq(poll(&p, 1, 5000), 1);
	look(fd, m, CKPT__TCP__KIND__CONNECTED);
	cr_assert(m->peer && m->state);
	cr_expect_str_eq(m->peer->ip, "127.0.0.1");
	cr_expect_eq(m->peer->port, ntohs(at.sin_port));
	cr_expect(m->state->sack && m->state->timestamps, "what was agreed on is known");
	protobuf_c_message_free_unpacked(&m->base, NULL);
	close(l);
}

Test(tcp_connecting, refused)
{
	int l = listener();
	Ckpt__Tcp *m = connecting();
	struct pollfd p = {.events = POLLOUT};

	close(l);
	p.fd = begin();
	cr_assert_eq(poll(&p, 1, 5000), 1);
	look(p.fd, m, CKPT__TCP__KIND__ENDED);
	cr_expect_eq(m->error, CKPT__TCP__ERROR__CONNECTION_REFUSED);
	cr_expect_null(m->peer);
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

/* Two of them fill the queue of one that accepts nobody. */
Test(tcp_connecting, not_answered)
{
	int l = listener(), fd = -1;
	Ckpt__Tcp *m = connecting();

	for (int i = 0; i < 4; i++) {
		struct pollfd p = {.fd = fd = begin(), .events = POLLOUT};

		poll(&p, 1, 200);
	}
	look(fd, m, CKPT__TCP__KIND__CONNECTING);
	cr_expect(m->state);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	close(l);
}

/* It was connected, and was reset before it could say to whom. */
Test(tcp_connecting, reset)
{
	struct linger at_once = {.l_onoff = 1};
	int l = listener(), fd = begin(), s = accept(l, NULL, NULL);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	Ckpt__Tcp *m = connecting();

	cr_assert_geq(s, 0);
	cr_assert_eq(setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(s);
	cr_assert_eq(poll(&p, 1, 5000), 1);
	look(fd, m, CKPT__TCP__KIND__ENDED);
	cr_expect_eq(m->error, CKPT__TCP__ERROR__RESET);
	look(fd, m, CKPT__TCP__KIND__ENDED);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	close(l);
}
