/*
 * sock_users.c - who has a socket: this process, and nobody.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sock_users.h"

Test(sock_users, finds_who_has_it)
{
	struct sock_user v[3] = {{.ino = 0}};
	struct stat st;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(fstat(sv[i], &st), 0);
		v[i].ino = st.st_ino;
	}
	v[2].ino = UINT32_MAX; /* nobody's */
	cr_assert_eq(sock_users(v, 3), 0);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(v[i].pid, getpid());
		cr_expect_eq(v[i].fd, sv[i]);
		cr_expect_neq(v[i].comm[0], '\0');
	}
	cr_expect_eq(v[2].pid, 0);
	v[0].pid = 0;
	cr_expect_eq(sock_users_of(getpid(), v, 1), 1);
	v[0].pid = 0;
	close(sv[0]);
	cr_expect_eq(sock_users_of(getpid(), v, 1), 0);
	close(sv[1]);
}
