/*
 * session_input.h - one input for a session of the service: what a caller sends, and what workers report.
 *
 * Up to the first byte 0xff the input is what comes over the connection, whatever it is; behind it stands what every
 * worker says that the session starts. None is started: its place has a pipe with these bytes.
 */
#ifndef CKPT_TEST_SESSION_INPUT_H
#define CKPT_TEST_SESSION_INPUT_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/session.h"

#define NO_SUCH_PID    INT_MAX
#define INPUT_LONGEST  60000 /* fits into a pipe, and into a socket */
#define HEARINGS_LIMIT 2000

static const uint8_t *input_reports;
static size_t input_reports_len;

static pid_t input_start(struct worker_job *job, int *ret_pipe)
{
	int ends[2];

	(void)job;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (write(ends[1], input_reports, input_reports_len) < 0)
		abort();
	close(ends[1]);
	*ret_pipe = ends[0];
	return NO_SUCH_PID;
}

static int input_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* Answers nobody reads are taken away, so that the socket is never full. */
static void input_drain(struct session *s, int peer)
{
	char buf[65536];

	conn_flush(&s->conn);
	while (recv(peer, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		conn_flush(&s->conn);
}

static void input_messages(struct session *s, int peer)
{
	const char *text;
	size_t n;

	while (!s->conn.broken && conn_next(&s->conn, &text, &n) == 1) {
		session_message(s, text, n);
		tasks_start(s);
		input_drain(s, peer);
	}
}

/* Return: how many tasks were left to be ended */
static size_t session_input(const uint8_t *data, size_t len)
{
	struct session s = {.command = input_command, .start = input_start};
	const uint8_t *sep = memchr(data, 0xff, len);
	size_t sent = sep ? (size_t)(sep - data) : len, left, limit = HEARINGS_LIMIT;
	int ends[2];

	if (len > INPUT_LONGEST)
		return 0;
	input_reports = sep ? sep + 1 : NULL;
	input_reports_len = sep ? len - sent - 1 : 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
		(sent && send(ends[1], data, sent, 0) != (ssize_t)sent))
		abort();
	shutdown(ends[1], SHUT_WR);
	conn_init(&s.conn, ends[0]);
	while (!s.conn.ended && conn_fill(&s.conn) == 0)
		input_messages(&s, ends[1]);
	input_messages(&s, ends[1]);
	for (size_t i = 0; i < s.n && limit; limit--) {
		if (s.tasks[i]->waits || !s.tasks[i]->worker) {
			i++;
			continue;
		}
		task_hear(&s, s.tasks[i]);
		tasks_start(&s);
		input_drain(&s, ends[1]);
		i = 0;
	}
	if (s.workers > s.n)
		abort(); /* miscounted */
	left = s.n;
	while (s.n)
		task_free(&s, s.tasks[s.n - 1]);
	free(s.tasks);
	conn_done(&s.conn);
	close(ends[1]);
	return left;
}

#endif
