/*
 * mqueue.c - what the file of a message queue says (texts as Linux 6.18 wrote them), and messages that
 * are looked at and are there afterwards.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/mqueue.h"

Test(mqueue, who_is_told)
{
	struct mqueue_notify n;

	cr_assert_eq(mqueue_notify_parse("QSIZE:5          NOTIFY:0     SIGNO:10    "
					 "NOTIFY_PID:3259  \n",
			     &n),
		0);
	cr_expect_eq(n.bytes, 5);
	cr_expect_eq(n.how, 0);
	cr_expect_eq(n.signal, 10);
	cr_expect_eq(n.pid, 3259);
	cr_assert_eq(mqueue_notify_parse("QSIZE:0          NOTIFY:2     SIGNO:0     "
					 "NOTIFY_PID:12    \n",
			     &n),
		0);
	cr_expect_eq(n.how, 2);
}

Test(mqueue, texts_that_say_nothing)
{
	static const char *const bad[] = {"", "QSIZE:5", "QSIZE:5 NOTIFY:0 SIGNO:10 \n",
		"QSIZE:x NOTIFY:0 SIGNO:10 NOTIFY_PID:1", "NOTIFY_PID:1 SIGNO:2 NOTIFY:0"};
	struct mqueue_notify n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(mqueue_notify_parse(bad[i], &n), -EBADMSG, "%s", bad[i]);
}

static int queue(const char *suffix, long max)
{
	struct mq_attr attr = {.mq_maxmsg = max, .mq_msgsize = 64};
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/ckpt-unit-%s-%d", suffix, getpid());
	fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (fd < 0)
		cr_skip_test("no message queues here");
	mq_unlink(name);
	return fd;
}

Test(mqueue, messages_are_copied_and_stay)
{
	static const struct {
		unsigned priority;
		const char *text;
	} in[] = {{0, "a"}, {7, "bb"}, {0, ""}, {7, "dddd"}, {32767, "e"}},
	  out[] = {{32767, "e"}, {7, "bb"}, {7, "dddd"}, {0, "a"}, {0, ""}};
	struct mqueue_messages m;
	int fd = queue("copy", 5); /* full */

	for (size_t i = 0; i < 5; i++)
		cr_assert_eq(mq_send(fd, in[i].text, strlen(in[i].text), in[i].priority), 0);
	cr_assert_eq(mqueue_copy(fd, 5, 64, &m), 0);
	cr_expect_eq(m.n, 5);
	for (size_t i = 0; i < 5; i++) {
		const struct mqueue_message *x = mqueue_message(&m, i);
		unsigned priority;
		char text[64];
		ssize_t len;

		cr_expect_eq(x->priority, out[i].priority, "%zu", i);
		cr_expect_eq(x->len, strlen(out[i].text), "%zu", i);
		cr_expect_eq(memcmp(x->text, out[i].text, x->len), 0, "%zu", i);
		len = mq_receive(fd, text, sizeof(text), &priority);
		cr_expect_eq(len, (ssize_t)strlen(out[i].text), "%zu", i);
		cr_expect_eq(priority, out[i].priority, "%zu", i);
		cr_expect_eq(memcmp(text, out[i].text, x->len), 0, "%zu", i);
	}
	mqueue_messages_done(&m);
	close(fd);
}

Test(mqueue, fewer_messages_than_thought)
{
	struct mqueue_messages m;
	char text[64];
	int fd = queue("few", 5);

	cr_assert_eq(mq_send(fd, "x", 1, 3), 0);
	cr_expect_eq(mqueue_copy(fd, 2, 64, &m), -EBUSY, "somebody else has received one");
	cr_expect_eq(mq_receive(fd, text, sizeof(text), NULL), 1, "the other one is lost");
	cr_expect_eq(mqueue_copy(fd, 1 << 20, 1 << 20, &m), -E2BIG);
	close(fd);
}
