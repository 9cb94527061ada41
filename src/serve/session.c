/*
 * session.c - one connection: what comes in, what goes out, and who has something to say.
 *
 * Who goes away without having waited for the reply does not want it any more: what is under way is ended; a
 * tree that runs goes on.
 */
#include "serve/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/rights.h"
#include "util/clock.h"

static void read_messages(struct session *s)
{
	const char *text;
	size_t len;
	int r = conn_fill(&s->conn);

	while (r == 0 && (r = conn_next(&s->conn, &text, &len)) == 1) {
		session_message(s, text, len);
		r = 0;
	}
	if (r < 0 && (r == -EMSGSIZE || r == -EBADMSG)) {
		json_t *null = json_null();

		session_send(s, rpc_response(null, NULL,
					rpc_error(RPC_INVALID_REQUEST,
						r == -EMSGSIZE ? "the message is too long"
							       : "the header can't be read")));
		s->conn.ended = true;
	} else if (r < 0) {
		s->conn.broken = true;
	}
}

/* ------------------------------------------------------------------ the loop */

/* One that is under way; NULL: none is. */
static struct task *unfinished(const struct session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->tasks[i]->worker && !s->tasks[i]->tree)
			return s->tasks[i];
	return NULL;
}

/*
 * Nobody is left who wants it: what is under way is ended, trees that run go on. One that had begun to run by then
 * says so; its worker stays with it, and we don't.
 */
static void end_all(struct session *s)
{
	struct task *t;

	for (size_t i = 0; i < s->n; i++)
		if (s->tasks[i]->worker && !s->tasks[i]->tree)
			kill(s->tasks[i]->worker, SIGTERM);
	while ((t = unfinished(s)))
		task_hear(s, t);
}

/* Requests that have no reply yet, or trees whose end is to be told. */
static bool busy(const struct session *s)
{
	return s->n || conn_unsent(&s->conn);
}

static int wait_events(struct session *s, struct pollfd *v)
{
	bool takes = !s->conn.ended && conn_unsent(&s->conn) < SERVE_UNREAD_MAX;
	uint64_t now = now_ns(), limit = s->conn.since + SERVE_HALF_MS * NS_PER_MS;
	int timeout = -1;

	if (s->conn.since)
		timeout = now >= limit ? 0 : (int)((limit - now) / 1000000 + 1);
	v[0] = (struct pollfd){.fd = s->conn.fd,
		.events = (short)((takes ? POLLIN : 0) | (conn_unsent(&s->conn) ? POLLOUT : 0))};
	for (size_t i = 0; i < s->n; i++)
		v[1 + i] = (struct pollfd){
			.fd = conn_unsent(&s->conn) < SERVE_UNREAD_MAX ? s->tasks[i]->pipe : -1,
			.events = POLLIN};
	return poll(v, s->n + 1, timeout) < 0 && errno != EINTR ? -errno : 0;
}

/* By what was asked for, as tasks come and go meanwhile. */
static void on_events(struct session *s, const struct pollfd *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (!v[i].revents)
			continue;
		for (size_t k = 0; k < s->n; k++) {
			struct task *t = s->tasks[k];

			if (t->pipe != v[i].fd)
				continue;
			if (t->waits)
				task_waited(s, t);
			else
				task_hear(s, t);
			break;
		}
	}
	if (v[0].revents & (POLLIN | POLLERR) && !s->conn.ended)
		read_messages(s);
	if (v[0].revents & POLLHUP)
		s->conn.broken = true;
	if (s->conn.since && now_ns() - s->conn.since >= SERVE_HALF_MS * NS_PER_MS)
		s->conn.broken = true;
}

static int loop(struct session *s)
{
	int r = 0;

	while (r >= 0 && !s->conn.broken && !(s->conn.ended && !busy(s))) {
		size_t n = s->n + 1;
		struct pollfd *v = calloc(n, sizeof(*v));

		r = v ? wait_events(s, v) : -ENOMEM;
		if (r >= 0)
			on_events(s, v, n);
		free(v);
		tasks_start(s);
		conn_flush(&s->conn);
	}
	return r;
}

int session_run(int fd, const struct serve_peer *peer, int (*command)(int argc, char **argv))
{
	struct session s = {.peer = *peer, .command = command, .start = worker_start};
	int r;

	prctl(PR_SET_NAME, "ckpt-session");
	signal(SIGPIPE, SIG_IGN);
	r = rights_take(fd, peer);
	if (r < 0 || chdir("/") < 0) /* where we were started is nobody else's business */
		return CKPT_E_PRIVILEGE;
	conn_init(&s.conn, fd);
	r = loop(&s);
	end_all(&s);
	while (s.n)
		task_free(&s, s.tasks[s.n - 1]);
	free(s.tasks);
	conn_done(&s.conn);
	return r < 0 ? CKPT_E_SYSTEM : 0;
}
