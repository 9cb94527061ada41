/*
 * What the user says of descriptors: words, and files of them.
 */
#include "res/file/fdpolicy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(fdpolicy, words)
{
	static const char *const fds[] = {"7=close", "12:7=null", "3=inherit:9", "4=ignore", NULL};
	static const char *const kinds[] = {"socket=null", "anon inode=close", "perf=refuse", NULL};
	const struct fdpolicy_entry *e;
	struct fdpolicy p;
	struct ckpt_op op;

	op_init(&op, NULL);
	cr_assert_eq(fdpolicy_read(&op, fds, kinds, NULL, &p), 0);
	e = fdpolicy_of_fd(&p, 12, 7);
	cr_assert_not_null(e);
	cr_expect_eq(e->is.how, OVERRIDE_NULL);
	e = fdpolicy_of_fd(&p, 1 << 29, 7);
	cr_assert_not_null(e);
	cr_expect_eq(e->is.how, OVERRIDE_CLOSE, "that of another process");
	e = fdpolicy_of_fd(&p, 1, 3);
	cr_assert_not_null(e);
	cr_expect_eq(e->is.mine, 9);
	cr_expect_null(fdpolicy_of_fd(&p, 1, 5));
	e = fdpolicy_of_kind(&p, "anon inode");
	cr_assert_not_null(e);
	cr_expect_eq(e->is.how, OVERRIDE_CLOSE);
	cr_expect_null(fdpolicy_of_kind(&p, "perf"), "refuse is what is done anyway");
	cr_expect_null(fdpolicy_of_kind(&p, "sock"));
	cr_expect_null(fdpolicy_of_kind(&p, "sockets"));
	fdpolicy_done(&p);
	op_done(&op, NULL);
}

Test(fdpolicy, what_is_none)
{
	static const char *const fds[] = {"7", ":7=close", "0:7=close", "1:=close", "1:2:3=close",
		"7=refuse", "7=path:", "7=inherit:", "-1=close", "7=closed"};
	static const char *const kinds[] = {"socket", "=close", "socket=", "socket=path:/x"};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		cr_expect_not_null(fdpolicy_fd_wrong(fds[i]), "%s", fds[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		cr_expect_not_null(fdpolicy_resource_wrong(kinds[i]), "%s", kinds[i]);
	cr_expect_null(fdpolicy_fd_wrong("1234:7=path:/a=b:c"));
}

/* Reads a file with such a text. */
static int read_text(struct ckpt_op *op, const char *text, struct fdpolicy *p)
{
	static const char *const fds[] = {"7=null", NULL};
	char path[] = "/tmp/ckpt-unit-XXXXXX";
	int fd = mkstemp(path), r;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	r = fdpolicy_read(op, fds, NULL, path, p);
	close(fd);
	unlink(path);
	return r;
}

Test(fdpolicy, a_file)
{
	static const char text[] = "# what outside needs\n"
				   "\n"
				   "  fd 12:8=path:/var/log/a#b  # a file\n"
				   "fd\t7=close\r\n"
				   "resource io_uring=ignore";
	struct fdpolicy p;
	struct ckpt_op op;

	op_init(&op, NULL);
	cr_assert_eq(read_text(&op, text, &p), 0);
	cr_assert_eq(p.n, 4);
	cr_expect_str_eq(p.v[0].is.path, "/var/log/a#b");
	cr_expect_eq(fdpolicy_of_fd(&p, 1, 7)->is.how, OVERRIDE_NULL, "the command line is first");
	cr_expect_eq(fdpolicy_of_kind(&p, "io_uring")->is.how, OVERRIDE_IGNORE);
	fdpolicy_done(&p);
	op_done(&op, NULL);
}

Test(fdpolicy, a_bad_line_is_named)
{
	struct ckpt_error err;
	struct fdpolicy p;
	struct ckpt_op op;

	op_init(&op, NULL);
	cr_assert_lt(read_text(&op, "# one\nfd 7=close\n\nfile 7=close\n", &p), 0);
	fdpolicy_done(&p);
	op_done(&op, &err);
	cr_expect_eq(err.kind, CKPT_E_USAGE);
	cr_expect(strstr(err.object, "line 4"), "%s", err.object);
	ckpt_error_done(&err);
}
