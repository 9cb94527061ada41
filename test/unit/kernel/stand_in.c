/*
 * stand_in.c - calls made by a child that has a chosen number and other ids; what the kernel wrote down.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/stand_in.h"

/* A number that nobody has: of a child that was there a moment ago. */
static pid_t free_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	cr_assert(pid > 0);
	waitpid(pid, NULL, 0);
	return pid;
}

static int make_pair(void *arg)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, arg) < 0 ? -errno : 0;
}

static int refuse(void *arg)
{
	(void)arg;
	return -ENOTTY;
}

Test(stand_in, the_kernel_takes_it_for_the_other)
{
	static const gid_t groups[] = {7, 8};
	struct stand_in who = {.pid = free_pid(),
		.ids = true,
		.uid = 1234,
		.gid = 5678,
		.groups_too = true,
		.groups = groups,
		.n_groups = 2};
	int *fds = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int r;

	if (geteuid() != 0)
		cr_skip_test("only root may be somebody else");
	r = stand_in_run(&who, make_pair, fds);
	if (r == -EPERM)
		cr_skip_test("numbers can't be chosen here");
	cr_assert_eq(r, 0, "%d", r);
	cr_assert_eq(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	cr_expect_eq(cred.pid, who.pid);
	cr_expect_eq(cred.uid, 1234);
	cr_expect_eq(cred.gid, 5678);
	cr_expect_eq(geteuid(), 0, "it was we ourselves who changed");
	cr_expect_eq(waitpid(-1, NULL, __WALL), -1, "it is left behind");
	close(fds[0]);
	close(fds[1]);
}

Test(stand_in, what_it_returns)
{
	struct stand_in who = {0};

	cr_expect_eq(stand_in_run(&who, refuse, NULL), -ENOTTY);
	who.pid = getppid();
	cr_expect(stand_in_run(&who, refuse, NULL) == -EEXIST ||
		  stand_in_run(&who, refuse, NULL) == -EPERM);
	who.else_any = true;
	cr_expect_eq(stand_in_run(&who, refuse, NULL), -ENOTTY);
}

static int make_pair_elsewhere(void *arg)
{
	int r = chdir("/proc") < 0 ? -errno : make_pair(arg);

	return r < 0 ? r : -(int)geteuid();
}

/* Our own number is nobody else's to have: a thread of ours makes the calls. */
Test(stand_in, for_ourselves_it_is_a_thread_of_ours)
{
	static const gid_t groups[] = {7, 8};
	struct stand_in who = {.pid = getpid(),
		.ids = true,
		.uid = 17,
		.gid = 5678,
		.groups_too = true,
		.groups = groups,
		.n_groups = 2};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	char here[4096], was[4096];
	int fds[2];

	if (geteuid() != 0)
		cr_skip_test("only root may be somebody else");
	cr_assert(getcwd(was, sizeof(was)));
	cr_assert_eq(stand_in_run(&who, make_pair_elsewhere, fds), -17);
	cr_assert_eq(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	cr_expect_eq(cred.pid, getpid());
	cr_expect_eq(cred.uid, 17);
	cr_expect_eq(cred.gid, 5678);
	cr_expect_eq(geteuid(), 0, "it was we ourselves who changed");
	cr_assert(getcwd(here, sizeof(here)));
	cr_expect_str_eq(here, was);
	close(fds[0]);
	close(fds[1]);
}
