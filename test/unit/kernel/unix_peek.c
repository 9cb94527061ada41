/*
 * unix_peek.c - what waits in sockets of this process is found whole, and is there afterwards.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/unix_peek.h"

static int peek_off(int fd)
{
	int v = 0;
	socklen_t len = sizeof(v);

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &v, &len), 0);
	return v;
}

Test(unix_peek, packets_of_any_length)
{
	static char large[300000];
	static const size_t len[] = {3, sizeof(large), 1};
	struct unix_pieces all;
	int sv[2], size = 1 << 20, off = 2;
	char buf[8];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i * 11);
	if (send(sv[0], large, len[0], 0) < 0 || send(sv[0], large, len[1], 0) < 0)
		cr_skip_test("no such large packets here");
	cr_assert_eq(send(sv[0], large, len[2], 0), 1);
	cr_assert_eq(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)), 0);
	for (int round = 0; round < 2; round++) {
		cr_assert_eq(unix_peek(sv[1], SOCK_DGRAM, &all), 0);
		cr_assert_eq(all.n, 3);
		for (int i = 0; i < 3; i++) {
			cr_expect_eq(all.v[i].len, len[i]);
			cr_expect_eq(memcmp(all.v[i].data, large, len[i]), 0);
			cr_expect_eq(all.v[i].n_fds, 0);
		}
		unix_pieces_done(&all);
		cr_expect_eq(peek_off(sv[1]), 2);
	}
	cr_expect_eq(recv(sv[1], buf, sizeof(buf), MSG_DONTWAIT), 3);
	close(sv[0]);
	close(sv[1]);
}

Test(unix_peek, the_end_is_no_packet)
{
	struct unix_pieces all;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	cr_assert_eq(send(sv[0], "ab", 2, 0), 2);
	close(sv[0]);
	cr_assert_eq(unix_peek(sv[1], SOCK_SEQPACKET, &all), 0);
	cr_assert_eq(all.n, 1);
	cr_expect_eq(all.v[0].len, 2);
	unix_pieces_done(&all);
	cr_expect_eq(peek_off(sv[1]), -1);
	close(sv[1]);
}

Test(unix_peek, nothing_waits)
{
	struct unix_pieces all;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	cr_assert_eq(unix_peek(sv[0], SOCK_STREAM, &all), 0);
	cr_expect_eq(all.n, 0);
	unix_pieces_done(&all);
	close(sv[0]);
	close(sv[1]);
}
