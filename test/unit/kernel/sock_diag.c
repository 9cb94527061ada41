/*
 * sock_diag.c - sockets that this process has just made, found again by their inodes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/sock_diag.h"

static uint64_t ino_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static void read_family(struct sock_diag *t, int family, int protocol)
{
	int r = sock_diag_read(t, family, protocol);

	if (r == -EOPNOTSUPP)
		cr_skip_test("this kernel does not tell of family %d", family);
	cr_assert_eq(r, 0, "%d", r);
}

Test(sock_diag, ends_of_a_pair_name_each_other)
{
	struct sock_diag t = {0};
	const struct sock_diag_row *row;
	const uint32_t *peer;
	size_t len = 0, n;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	read_family(&t, AF_UNIX, 0);
	for (int i = 0; i < 2; i++) {
		row = sock_diag_find(&t, ino_of(sv[i]));
		cr_assert(row);
		cr_expect_eq(row->family, AF_UNIX);
		cr_expect_eq(((const struct unix_diag_msg *)row->msg)->udiag_type, SOCK_SEQPACKET);
		peer = sock_diag_attr(row, UNIX_DIAG_PEER, &len);
		cr_assert(peer);
		cr_expect_eq(len, sizeof(*peer));
		cr_expect_eq(*peer, ino_of(sv[!i]));
		cr_expect_null(sock_diag_attr(row, UNIX_DIAG_NAME, NULL));
	}
	n = t.n;
	cr_expect_eq(sock_diag_read(&t, AF_UNIX, 0), 0);
	cr_expect_eq(t.n, n, "it was read a second time");
	sock_diag_done(&t);
	cr_expect_null(sock_diag_find(&t, ino_of(sv[0])));
	close(sv[0]);
	close(sv[1]);
}

Test(sock_diag, who_waits_to_be_accepted)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sock_diag t = {0};
	const struct sock_diag_row *row;
	const uint32_t *waiting;
	const char *name;
	socklen_t alen;
	size_t len = 0;

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "ckpt-unit-%d", getpid());
	alen = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1);
	cr_assert_eq(bind(s, (void *)&a, alen), 0);
	cr_assert_eq(listen(s, 4), 0);
	cr_assert_eq(connect(c, (void *)&a, alen), 0);
	read_family(&t, AF_UNIX, 0);
	row = sock_diag_find(&t, ino_of(s));
	cr_assert(row);
	name = sock_diag_attr(row, UNIX_DIAG_NAME, &len);
	cr_assert(name);
	cr_assert_eq(len, 1 + strlen(a.sun_path + 1));
	cr_expect_eq(memcmp(name, a.sun_path, len), 0);
	waiting = sock_diag_attr(row, UNIX_DIAG_ICONS, &len);
	cr_assert(waiting);
	cr_assert_eq(len, sizeof(*waiting), "one waits");
	cr_expect_eq(*waiting, ino_of(c));
	sock_diag_done(&t);
	close(c);
	close(s);
}

Test(sock_diag, families_stand_side_by_side)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sock_diag t = {0};
	const struct sock_diag_row *row;

	cr_assert_eq(listen(s, 1), 0);
	read_family(&t, AF_INET, IPPROTO_TCP);
	cr_expect_null(sock_diag_find(&t, ino_of(u)));
	read_family(&t, AF_UNIX, 0);
	cr_expect(sock_diag_find(&t, ino_of(u)));
	row = sock_diag_find(&t, ino_of(s));
	cr_assert(row);
	cr_expect_eq(row->protocol, IPPROTO_TCP);
	cr_expect(sock_diag_attr(row, INET_DIAG_SKMEMINFO, NULL));
	sock_diag_done(&t);
	close(s);
	close(u);
}

Test(sock_diag, a_family_that_it_does_not_tell_of)
{
	struct sock_diag t = {0};

	cr_expect_eq(sock_diag_read(&t, AF_MAX - 1, 0), -EOPNOTSUPP);
	sock_diag_done(&t);
}
