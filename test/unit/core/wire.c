/*
 * wire.c - messages between two processes of an operation, here one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/wire.h"

Test(wire, text_pid_and_descriptor)
{
	struct wire_msg m = {.head = {WIRE_OWN, 77, 1, 2}, .pid = getpid(), .fd = STDIN_FILENO},
			got;
	struct stat a, b;
	int ends[2];

	cr_assert_eq(wire_pair(ends), 0);
	cr_assert_eq(wire_send(ends[1], &m, "open", 4), 0);
	cr_assert_eq(wire_recv(ends[0], &got), 1);
	cr_expect_eq(got.head.kind, WIRE_OWN);
	cr_expect_eq(got.head.n, 77);
	cr_expect_eq(got.head.b, 2);
	cr_expect_eq(got.pid, getpid());
	cr_expect_eq(got.len, 4);
	cr_expect_str_eq(got.text, "open");
	cr_assert_eq(fstat(got.fd, &a), 0);
	cr_assert_eq(fstat(STDIN_FILENO, &b), 0);
	cr_expect(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	cr_expect_neq(got.fd, STDIN_FILENO);
	close(ends[1]);
	cr_expect_eq(wire_recv(ends[0], &got), 0);
	cr_expect_eq(wire_send(ends[0], &m, NULL, 0), -EPIPE);
}

/* What is too long is cut, and stays a text. */
Test(wire, cut)
{
	struct wire_msg m = {.head = {WIRE_LOG}, .fd = -1}, got;
	char text[WIRE_TEXT + 100];
	int ends[2];

	memset(text, 'x', sizeof(text));
	cr_assert_eq(wire_pair(ends), 0);
	cr_assert_eq(wire_send(ends[1], &m, text, sizeof(text)), 0);
	cr_assert_eq(wire_recv(ends[0], &got), 1);
	cr_expect_eq(got.len, WIRE_TEXT);
	cr_expect_eq(strlen(got.text), WIRE_TEXT);
	cr_expect_lt(got.fd, 0);
}

/* An error arrives as it was. */
static struct ckpt_error through(const struct ckpt_error *err)
{
	struct wire_msg got;
	struct ckpt_error ret;
	struct ckpt_op op;
	int ends[2];

	op_init(&op, NULL);
	cr_assert_eq(wire_pair(ends), 0);
	cr_assert_eq(wire_send_error(ends[1], err), 0);
	cr_assert_eq(wire_recv(ends[0], &got), 1);
	cr_assert_eq(got.head.kind, WIRE_FAIL);
	cr_expect_lt(wire_fail(&op, &got), 0);
	op_done(&op, &ret);
	return ret;
}

Test(wire, errors)
{
	struct ckpt_error full = {CKPT_E_CONFLICT, EEXIST, (char *)"pid 7 (100%): fd 3",
		(char *)"clone3", (char *)"do this", CKPT_TARGET_GONE};
	struct ckpt_error bare = {.kind = CKPT_E_IMAGE, .object = (char *)"x"};
	struct ckpt_error got = through(&full);

	cr_expect_eq(got.kind, CKPT_E_CONFLICT);
	cr_expect_eq(got.err, EEXIST);
	cr_expect_eq(got.target, CKPT_TARGET_GONE);
	cr_expect_str_eq(got.object, "pid 7 (100%): fd 3");
	cr_expect_str_eq(got.call, "clone3");
	cr_expect_str_eq(got.advice, "do this");
	ckpt_error_done(&got);
	got = through(&bare);
	cr_expect_eq(got.kind, CKPT_E_IMAGE);
	cr_expect_eq(got.err, 0);
	cr_expect_str_eq(got.object, "x");
	cr_expect_null(got.call);
	cr_expect_null(got.advice);
	ckpt_error_done(&got);
}
