/*
 * A program that is run by ourselves.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "inject/prog.h"
#include "kernel/apart.h"

/* A result, and data that is told of by a pointer in data, are found by the steps behind. */
Test(prog_here, results_and_pointers)
{
	struct prog p = {0};
	struct iovec iov = {.iov_len = 5};
	size_t fd, failed = 99;
	uint64_t at, word;
	char got[8] = "";

	fd = PROG_CALL(&p, "make", SYS_memfd_create, DATA(prog_data(&p, "x", 2)), IMM(0));
	word = prog_data(&p, "hello", 5);
	at = prog_data(&p, &iov, sizeof(iov));
	prog_pointer(&p, at + offsetof(struct iovec, iov_base), word);
	PROG_CALL_EQ(&p, "write", 5, SYS_writev, RES(fd), DATA(at), IMM(1));
	cr_assert_eq(prog_run_here(&p, &failed), 0);
	cr_assert_eq(pread((int)p.steps[fd].ret, got, sizeof(got), 0), 5);
	cr_assert_str_eq(got, "hello");
	close((int)p.steps[fd].ret);
	prog_done(&p);
}

/* The first step that misses what it must give ends it; those that may give anything don't. */
Test(prog_here, failures)
{
	struct prog p = {0};
	size_t failed = 99;

	PROG_CALL_ANY(&p, "any", SYS_close, IMM(-1));
	PROG_CALL(&p, "bad", SYS_fchdir, IMM(-1));
	PROG_CALL(&p, "not reached", SYS_exit_group, IMM(3));
	cr_assert_eq(prog_run_here(&p, &failed), -EBADF);
	cr_assert_eq(failed, 1);
	cr_assert_eq(p.steps[0].ret, -EBADF);
	prog_done(&p);
	PROG_CALL_EQ(&p, "equal", 7, SYS_getppid, IMM(0));
	p.steps[0].want = -1;
	cr_assert_eq(prog_run_here(&p, NULL), -EINVAL);
	prog_done(&p);
	prog_add(&p, &(struct prog_step){.op = AGENT_PARK});
	cr_assert_eq(prog_run_here(&p, NULL), -EINVAL);
	prog_done(&p);
}

static int close_it(void *arg)
{
	*(int *)arg = close(*(int *)arg);
	return 0;
}

/* apart_files() has numbers of its own, and our memory. */
Test(prog_here, copied_files)
{
	int fd = open("/dev/null", O_RDONLY), arg = fd;

	cr_assert_eq(apart_files(close_it, &arg), 0);
	cr_assert_eq(arg, 0);
	cr_assert_geq(fcntl(fd, F_GETFD), 0);
	arg = fd;
	cr_assert_eq(apart(close_it, &arg), 0);
	cr_assert_eq(arg, 0);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
}
