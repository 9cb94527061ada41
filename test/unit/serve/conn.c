/*
 * conn.c - messages come out of a connection whole, however they came in.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/conn.h"
#include "serve/serve.h"

struct fixture {
	struct conn c;
	int other;
};

static struct fixture begin(void)
{
	struct fixture f;
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	conn_init(&f.c, ends[0]);
	f.other = ends[1];
	return f;
}

static void end(struct fixture *f)
{
	conn_done(&f->c);
	close(f->other);
}

static void put(struct fixture *f, const char *s)
{
	cr_assert_eq(write(f->other, s, strlen(s)), (ssize_t)strlen(s));
	cr_assert_eq(conn_fill(&f->c), 0);
}

static void expect(struct fixture *f, const char *want)
{
	const char *s;
	size_t len;

	cr_assert_eq(conn_next(&f->c, &s, &len), 1, "no message, '%s' expected", want);
	cr_expect_eq(len, strlen(want));
	cr_expect_eq(memcmp(s, want, len), 0, "%.*s", (int)len, s);
}

static int next(struct fixture *f)
{
	const char *s;
	size_t len;

	return conn_next(&f->c, &s, &len);
}

Test(conn, lines)
{
	struct fixture f = begin();

	cr_expect_eq(next(&f), 0);
	put(&f, "{\"a\":");
	cr_expect_eq(next(&f), 0);
	cr_expect(f.c.since, "a message has begun");
	put(&f, "1}\n\n  [2]\n{");
	expect(&f, "{\"a\":1}");
	cr_expect_not(f.c.headers);
	expect(&f, "[2]");
	cr_expect_eq(next(&f), 0);
	put(&f, "}");
	shutdown(f.other, SHUT_WR);
	cr_assert_eq(conn_fill(&f.c), 0);
	expect(&f, "{}");
	cr_expect_eq(next(&f), 0);
	cr_expect_eq(f.c.since, 0);
	end(&f);
}

Test(conn, headers_byte_by_byte)
{
	static const char text[] = "Content-Type: x\r\ncontent-length:  4\r\n\r\n{\n}\n{}\n";
	struct fixture f = begin();

	for (const char *p = text; *p; p++) {
		char one[2] = {*p, 0};

		put(&f, one);
		if (p == strstr(text, "}\n{") + 1) {
			expect(&f, "{\n}\n");
			cr_expect(f.c.headers);
		} else if (p[1]) {
			cr_expect_eq(next(&f), 0, "after %zd bytes", p - text + 1);
		}
	}
	expect(&f, "{}");
	cr_expect_not(f.c.headers);
	end(&f);
}

Test(conn, wrong_headers)
{
	static const char *const wrong[] = {"Content-Type: x\r\n\r\n", "Content-Length: x\r\n\r\n",
		"Content-Length: 1 2\r\n\r\n", "Content-Length: -1\r\n\r\n",
		"Content-Length: 18446744073709551616\r\n\r\n"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fixture f = begin();

		put(&f, wrong[i]);
		cr_expect_eq(next(&f), -EBADMSG, "%s", wrong[i]);
		end(&f);
	}
}

Test(conn, too_long)
{
	static char x[60000];
	struct fixture f = begin();

	put(&f, "Content-Length: 1048577\r\n\r\n");
	cr_expect_eq(next(&f), -EMSGSIZE);
	end(&f);
	f = begin();
	memset(x, 'x', sizeof(x) - 1);
	for (size_t i = 0; i <= SERVE_MESSAGE_MAX / (sizeof(x) - 1); i++) {
		cr_expect_eq(next(&f), 0);
		put(&f, x);
	}
	cr_expect_eq(next(&f), -EMSGSIZE);
	end(&f);
}

Test(conn, answers_in_the_framing_of_the_message)
{
	struct fixture f = begin();
	char got[128];
	ssize_t n;

	cr_assert_eq(conn_send(&f.c, "{}", 2), 0);
	f.c.headers = true;
	cr_assert_eq(conn_send(&f.c, "[]", 2), 0);
	conn_flush(&f.c);
	cr_expect_eq(conn_unsent(&f.c), 0);
	n = read(f.other, got, sizeof(got));
	cr_assert_gt(n, 0);
	got[n] = '\0';
	cr_expect_str_eq(got, "{}\nContent-Length: 2\r\n\r\n[]");
	close(f.other);
	cr_assert_eq(conn_send(&f.c, "{}", 2), 0);
	conn_flush(&f.c);
	cr_expect(f.c.broken, "nobody reads");
	conn_done(&f.c);
}

Test(conn, descriptors_come_along)
{
	struct fixture f = begin();
	int pipe_fds[2];
	union {
		char room[CMSG_SPACE(sizeof(pipe_fds))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = {"{}\n", 3};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *m = CMSG_FIRSTHDR(&msg);

	cr_assert_eq(pipe(pipe_fds), 0);
	*m = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(pipe_fds))};
	memcpy(CMSG_DATA(m), pipe_fds, sizeof(pipe_fds));
	cr_assert_eq(sendmsg(f.other, &msg, 0), 3);
	cr_assert_eq(conn_fill(&f.c), 0);
	expect(&f, "{}");
	cr_assert_eq(f.c.n_fds, 2);
	cr_expect_eq(write(f.c.fds[1], "x", 1), 1);
	conn_drop_fds(&f.c);
	cr_expect_eq(f.c.n_fds, 0);
	end(&f);
}
