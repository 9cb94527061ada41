/*
 * tcp_repair.c - the state of a connection is read, and the socket is as it was.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/tcp_repair.h"

static void open_pair(int *c, int *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(l, (struct sockaddr *)&at, len), 0);
	cr_assert_eq(listen(l, 1), 0);
	cr_assert_eq(getsockname(l, (struct sockaddr *)&at, &len), 0);
	*c = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(*c, (struct sockaddr *)&at, len), 0);
	*s = accept(l, NULL, NULL);
	close(l);
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	cr_assert_eq(poll(&p, 1, 5000), 1);
}

static void read_states(struct tcp_states *st)
{
	if (geteuid() != 0)
		cr_skip_test("it takes CAP_NET_ADMIN");
	cr_assert_eq(tcp_states_read(st), 0);
	if (st->v[0].err == -EPERM)
		cr_skip_test("it takes CAP_NET_ADMIN");
	for (size_t i = 0; i < st->n; i++)
		cr_assert_eq(st->v[i].err, 0, "%s", strerror(-st->v[i].err));
}

Test(tcp_repair, both_ends_fit_together)
{
	struct tcp_state v[2] = {0};
	struct tcp_states st = {.v = v, .n = 2};
	char word[8];
	int c, s;

	open_pair(&c, &s);
	cr_assert_eq(send(c, "unread", 6, 0), 6);
	wait_for(s, POLLIN);
	v[0].fd = c;
	v[1].fd = s;
	read_states(&st);
	cr_expect_eq(v[0].state, TCP_ESTABLISHED);
	cr_expect_eq(v[0].send_seq, v[1].recv_seq);
	cr_expect_eq(v[1].send_seq, v[0].recv_seq);
	cr_expect_eq(v[0].send_len, 0);
	cr_assert_eq(v[1].recv_len, 6);
	cr_expect_eq(memcmp(v[1].recv, "unread", 6), 0);
	tcp_states_done(&st);
	cr_expect_eq(recv(s, word, sizeof(word), 0), 6);
	cr_expect_eq(send(s, "back", 4, 0), 4);
	cr_expect_eq(recv(c, word, sizeof(word), 0), 4);
}

Test(tcp_repair, a_fin_is_a_byte)
{
	struct tcp_state v[2] = {0};
	struct tcp_states st = {.v = v, .n = 2};
	int c, s;

	open_pair(&c, &s);
	v[0].fd = c;
	v[1].fd = s;
	read_states(&st);
	uint32_t before = v[1].recv_seq;

	shutdown(c, SHUT_WR);
	wait_for(s, POLLRDHUP);
	read_states(&st);
	cr_expect_eq(v[1].state, TCP_CLOSE_WAIT);
	cr_expect_eq(v[1].recv_seq, before + 1);
	cr_expect_eq(v[0].send_seq, before + 1);
	tcp_states_done(&st);
}

/* What the mode sets by itself is put back, as is what is set for the look. */
Test(tcp_repair, options_stay)
{
	struct tcp_state v = {0};
	struct tcp_states st = {.v = &v, .n = 1};
	int c, s, on = 1, mode = 1;
	socklen_t len = sizeof(on);

	open_pair(&c, &s);
	cr_assert_eq(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, len), 0);
	v.fd = s;
	read_states(&st);
	on = 0;
	cr_assert_eq(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, &len), 0);
	cr_expect_eq(on, 1);
	cr_assert_eq(getsockopt(s, IPPROTO_TCP, TCP_INQ, &on, &len), 0);
	cr_expect_eq(on, 0);
	cr_assert_eq(getsockopt(s, IPPROTO_TCP, TCP_REPAIR, &mode, &len), 0);
	cr_expect_eq(mode, 0);
	tcp_states_done(&st);
}

Test(tcp_repair, urgent_data_is_told)
{
	struct tcp_state v = {0};
	struct tcp_states st = {.v = &v, .n = 1};
	char word[16];
	int c, s;

	if (geteuid() != 0)
		cr_skip_test("it takes CAP_NET_ADMIN");
	open_pair(&c, &s);
	cr_assert_eq(send(c, "before", 6, 0), 6);
	cr_assert_eq(send(c, "u", 1, MSG_OOB), 1);
	wait_for(s, POLLPRI);
	v.fd = s;
	cr_assert_eq(send(c, "behind", 6, 0), 6);
	cr_assert_eq(tcp_states_read(&st), 0);
	if (v.err == -ENOMSG)
		cr_skip_test("before Linux 6.9 a look can't begin anywhere");
	cr_expect_eq(v.err, 0);
	cr_expect(v.urgent && !v.urgent_read);
	cr_expect_eq(v.urgent_at, 6);
	cr_assert_eq(v.recv_len, 13);
	cr_expect_eq(memcmp(v.recv, "beforeubehind", 13), 0);
	tcp_states_done(&st);
	/* the program sees what it saw */
	cr_expect_eq(recv(s, word, sizeof(word), 0), 6);
	cr_expect(recv(s, word, 1, MSG_OOB) == 1 && word[0] == 'u');
	cr_expect_eq(recv(s, word, sizeof(word), 0), 6);
}

/* More than the room that is there at first; the other end is closed in the mode, and notices nothing. */
Test(tcp_repair, made_again)
{
	static char many[1 << 20];
	struct tcp_state v = {0};
	struct tcp_states st = {.v = &v, .n = 1};
	struct sockaddr_in local, peer;
	socklen_t len = sizeof(local);
	struct tcp_again a = {.local = (void *)&local, .peer = (void *)&peer, .len = sizeof(local)};
	const char *call;
	char word[8];
	int c, s, again;

	open_pair(&c, &s);
	memset(many, 'm', sizeof(many));
	ssize_t sent = send(c, many, sizeof(many), MSG_DONTWAIT);

	cr_assert_gt(sent, 0);
	wait_for(s, POLLIN);
	usleep(20000); /* nothing locks it, so all is to be there that fits */
	v.fd = s;
	read_states(&st);
	cr_assert_eq(getsockname(s, (struct sockaddr *)&local, &len), 0);
	cr_assert_eq(getpeername(s, (struct sockaddr *)&peer, &len), 0);
	a.send_first = v.send_seq;
	a.recv_first = v.recv_seq - (uint32_t)v.recv_len;
	a.mss = v.mss;
	a.windows = v.windows;
	a.recv = v.recv;
	a.recv_len = v.recv_len;
	cr_assert_eq(tcp_repair(s, 1), 0);
	close(s);
	again = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = tcp_again_make(again, &a, &call);

	cr_assert_eq(r, 0, "%s: %s", call, strerror(-r));
	cr_assert_eq(tcp_repair(again, 0), 0);
	for (size_t i = 0; i < v.recv_len; i++)
		cr_assert_eq(recv(again, word, 1, 0), 1, "byte %zu", i);
	cr_expect_eq(send(again, "back", 4, 0), 4);
	cr_expect_eq(recv(c, word, sizeof(word), 0), 4);
	tcp_states_done(&st);
}

/*
 * The peer's last word on its window came with bytes out of order, far beyond ours, which was taken back since
 * for lack of memory: seen of Linux 6.18 with much to read. Only what is read comes back.
 */
Test(tcp_repair, a_window_told_out_of_order)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(19)}, peer = local;
	struct tcp_again a = {.local = (void *)&local,
		.peer = (void *)&peer,
		.len = sizeof(local),
		.send_first = 1861049347,
		.recv_first = 396101628,
		.mss = 65476,
		.windows = {.snd_wl1 = 397018124,
			.snd_wnd = 41984,
			.max_window = 201728,
			.rcv_wnd = 262144,
			.rcv_wup = 396101628}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), r;
	const char *call;

	cr_assert_geq(fd, 0);
	if (tcp_repair(fd, 1) < 0)
		cr_skip_test("it takes CAP_NET_ADMIN");
	local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	r = tcp_again_make(fd, &a, &call);
	cr_expect_eq(r, 0, "%s: %s", call, strerror(-r));
	close(fd); /* in that mode nothing is sent */
}
