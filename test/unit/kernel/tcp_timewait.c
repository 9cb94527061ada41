/*
 * tcp_timewait.c - a port where a connection has just ended can be bound again, one where somebody listens not.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/tcp_backlog.h"
#include "kernel/tcp_timewait.h"

Test(tcp_timewait, is_ended)
{
	struct sockaddr_storage at;
	socklen_t len;
	int l = tcp_loopback_listen(AF_INET, &at, &len), c = socket(AF_INET, SOCK_STREAM, 0), s, r;
	char byte;

	cr_assert(l >= 0 && c >= 0);
	cr_assert_eq(connect(c, (struct sockaddr *)&at, len), 0);
	s = accept(l, NULL, NULL);
	close(s); /* it closes first, so that the state is on its side */
	cr_assert_eq(recv(c, &byte, 1, 0), 0);
	close(c);
	cr_expect_eq(tcp_timewait_end(&at), 0, "somebody listens");
	close(l);
	l = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(bind(l, (struct sockaddr *)&at, len) < 0 && errno == EADDRINUSE);
	r = tcp_timewait_end(&at);
	if (r == -EPERM || r == -EOPNOTSUPP)
		cr_skip_test("it takes CAP_NET_ADMIN, and a kernel that can");
	cr_expect_eq(r, 1);
	cr_expect_eq(bind(l, (struct sockaddr *)&at, len), 0);
}
