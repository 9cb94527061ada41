/*
 * session.c - one connection: its requests, their workers, its replies.
 *
 * What a request asks for is done by a worker, but for what a session knows itself (local_methods). A batch
 * is answered when the last of its requests is. Who goes away without having waited for the reply does not
 * want it any more: what is under way is ended; a tree that runs goes on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "serve/conn.h"
#include "serve/discover.h"
#include "serve/rights.h"
#include "serve/rpc.h"
#include "serve/worker.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

/* The replies of one message. */
struct batch {
	json_t *replies; /* an array */
	bool single;     /* the message was one request, not an array */
	size_t left;     /* requests that have no reply yet */
	bool headers;    /* the framing of the message */
};

/* A request that is not answered yet, or a tree that runs. */
struct task {
	struct batch *batch; /* NULL: answered */
	json_t *id;          /* owned; NULL: of a notification */
	struct worker_job job;
	int fds[CONN_FDS_MAX]; /* of job, owned until it starts */
	pid_t worker;          /* 0: not started, or of a wait */
	int pipe;              /* or the pidfd that is waited for */
	pid_t tree;            /* the root of a tree that runs; of a wait, what is waited for */
	bool waits;
	struct strbuf in; /* reports, not yet complete */
};

struct session {
	struct conn conn;
	struct serve_peer peer;
	int (*command)(int argc, char **argv);
	struct task **tasks;
	size_t n, cap;
	size_t workers; /* of tasks, that run */
};

/* ------------------------------------------------------------------ replies */

static void send_json(struct session *s, json_t *message)
{
	_cleanup_free_ char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	if (!text || conn_send(&s->conn, text, strlen(text)) < 0)
		s->conn.broken = true;
	json_decref(message);
}

static void batch_end(struct session *s, struct batch *b)
{
	size_t n = json_array_size(b->replies);

	s->conn.headers = b->headers;
	if (n && b->single)
		send_json(s, json_incref(json_array_get(b->replies, 0)));
	else if (n)
		send_json(s, json_incref(b->replies));
	json_decref(b->replies);
	free(b);
}

/* @result or @error is taken. */
static void answer(struct session *s, struct batch *b, json_t *id, json_t *result, json_t *error)
{
	if (id)
		json_array_append_new(b->replies, rpc_response(id, result, error));
	else {
		json_decref(result);
		json_decref(error);
	}
	if (--b->left == 0)
		batch_end(s, b);
}

static void task_answer(struct session *s, struct task *t, json_t *result, json_t *error)
{
	struct batch *b = t->batch;

	t->batch = NULL;
	if (b)
		answer(s, b, t->id, result, error);
	else {
		json_decref(result);
		json_decref(error);
	}
}

/* ------------------------------------------------------------------ tasks */

static struct task *task_new(struct session *s, struct batch *b, json_t *id)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t || vec_reserve(&s->tasks, &s->cap, s->n + 1, sizeof(struct task *)) < 0) {
		free(t);
		return NULL;
	}
	*t = (struct task){.batch = b, .id = json_incref(id), .pipe = -EBADF};
	s->tasks[s->n++] = t;
	return t;
}

static void task_free(struct session *s, struct task *t)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->tasks[i] != t)
			continue;
		memmove(&s->tasks[i], &s->tasks[i + 1], (s->n - i - 1) * sizeof(struct task *));
		s->n--;
		break;
	}
	for (size_t i = 0; i < t->job.n_fds; i++)
		close(t->fds[i]);
	fd_close(t->pipe);
	call_done(&t->job.call);
	json_decref(t->job.argv);
	json_decref(t->id);
	strbuf_done(&t->in);
	free(t);
}

static json_t *no_memory(void)
{
	return rpc_error(RPC_INTERNAL_ERROR, "out of memory");
}

/* Those that wait, as far as there is room for more workers. */
static void start_some(struct session *s)
{
	for (size_t i = 0; i < s->n && s->workers < SERVE_WORKERS_MAX; i++) {
		struct task *t = s->tasks[i];
		int fd = -EBADF;
		pid_t pid;

		if (t->worker || t->waits)
			continue;
		pid = worker_start(&t->job, &fd);
		if (pid < 0) {
			task_answer(s, t, NULL, rpc_error(RPC_INTERNAL_ERROR, "fork failed"));
			task_free(s, t);
			i--;
			continue;
		}
		t->worker = pid;
		t->pipe = fd;
		s->workers++;
		for (size_t k = 0; k < t->job.n_fds; k++)
			close(t->fds[k]);
		t->job.n_fds = 0;
	}
}

/* Everybody who waits for a tree of ours is told. */
static void tree_ended(struct session *s, const struct task *tree, json_t *result)
{
	for (size_t i = s->n; i-- > 0;) {
		struct task *t = s->tasks[i];

		if (!t->waits || t->tree != tree->tree)
			continue;
		task_answer(s, t, json_incref(result), NULL);
		task_free(s, t);
	}
	if (tree->id)
		json_object_set(result, "id", tree->id);
	send_json(s, rpc_notification("exit", result));
}

static void on_report(struct session *s, struct task *t, enum report what, json_t *o)
{
	switch (what) {
	case REPORT_NOTIFY:
		send_json(s, o);
		break;
	case REPORT_STARTED:
		t->tree = (pid_t)json_integer_value(json_object_get(o, "pid"));
		s->workers--; /* it only waits from here on */
		task_answer(s, t, o, NULL);
		break;
	case REPORT_EXIT:
		if (t->tree)
			tree_ended(s, t, o);
		else
			task_answer(s, t, o, NULL);
		break;
	case REPORT_RESULT:
		task_answer(s, t, o, NULL);
		break;
	case REPORT_ERROR:
		task_answer(s, t, NULL, o);
		break;
	default:
		json_decref(o);
	}
}

/* The worker has closed its pipe, so it is dead or about to be. */
static void worker_ended(struct session *s, struct task *t)
{
	char text[96];
	int status = 0;

	waitpid(t->worker, &status, 0);
	if (!t->tree)
		s->workers--;
	snprintf(text, sizeof(text), "the worker ended without a reply (%s %d)",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (t->batch)
		task_answer(s, t, NULL, rpc_error(RPC_INTERNAL_ERROR, text));
	task_free(s, t);
}

static void worker_says(struct session *s, struct task *t)
{
	char buf[65536];
	ssize_t n = read(t->pipe, buf, sizeof(buf));
	struct report_head h;
	size_t at = 0;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0 || strbuf_addn(&t->in, buf, (size_t)n) < 0) {
		worker_ended(s, t);
		return;
	}
	while (t->in.len - at >= sizeof(h)) {
		memcpy(&h, t->in.s + at, sizeof(h));
		if (t->in.len - at - sizeof(h) < h.len)
			break;
		on_report(s, t, (enum report)h.what,
			json_loadb(t->in.s + at + sizeof(h), h.len, JSON_DECODE_ANY, NULL));
		at += sizeof(h) + h.len;
	}
	memmove(t->in.s, t->in.s + at, t->in.len - at);
	t->in.len -= at;
}

/* ------------------------------------------------------------------ methods of the session itself */

typedef void local_fn(struct session *s, struct batch *b, const struct rpc_request *r);

static void do_ping(struct session *s, struct batch *b, const struct rpc_request *r)
{
	answer(s, b, r->id, json_string("pong"), NULL);
}

static void do_version(struct session *s, struct batch *b, const struct rpc_request *r)
{
	answer(s, b, r->id, json_pack("{s:s, s:s}", "ckpt", CKPT_VERSION, "jsonrpc", "2.0"), NULL);
}

static void do_discover(struct session *s, struct batch *b, const struct rpc_request *r)
{
	answer(s, b, r->id, discover_document(), NULL);
}

/* End what a request of this connection has begun; its reply is then an error. */
static void do_cancel(struct session *s, struct batch *b, const struct rpc_request *r)
{
	json_t *id = json_object_get(r->params, "id");
	bool found = false;

	if (!id) {
		answer(s, b, r->id, NULL,
			rpc_error(RPC_INVALID_PARAMS, "parameter id is missing: of what request?"));
		return;
	}
	for (size_t i = s->n; i-- > 0;) {
		struct task *t = s->tasks[i];

		if (!t->batch || !t->id || !json_equal(t->id, id))
			continue;
		found = true;
		if (t->worker)
			kill(t->worker, SIGTERM);
		if (t->worker)
			continue;
		task_answer(s, t, NULL,
			rpc_error(RPC_OPERATION - CKPT_E_CANCELLED, "the operation was cancelled"));
		task_free(s, t);
	}
	answer(s, b, r->id, json_pack("{s:b}", "cancelled", found), NULL);
}

/* Until a process ends: with its status where it is a tree that this connection has restored. */
static void do_wait(struct session *s, struct batch *b, const struct rpc_request *r)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(r->params, "pid"));
	struct task *t;
	int fd = -EBADF;
	bool ours = false;

	for (size_t i = 0; i < s->n; i++)
		ours |= s->tasks[i]->tree == pid && !s->tasks[i]->waits;
	if (pid > 0 && !ours)
		fd = pidfd_of(pid);
	if (pid <= 0 || (!ours && fd < 0)) {
		answer(s, b, r->id, NULL,
			rpc_error(pid <= 0 ? RPC_INVALID_PARAMS : RPC_OPERATION - CKPT_E_TARGET,
				pid <= 0 ? "parameter pid is missing: which process?"
					 : "there is no such process"));
		return;
	}
	t = task_new(s, b, r->id);
	if (!t) {
		fd_close(fd);
		answer(s, b, r->id, NULL, no_memory());
		return;
	}
	t->waits = true;
	t->tree = pid;
	t->pipe = fd;
}

static const struct {
	const char *name;
	local_fn *run;
} local_methods[] = {
	{"ping", do_ping},
	{"version", do_version},
	{"cancel", do_cancel},
	{"wait", do_wait},
	{"rpc.discover", do_discover},
};

/* ------------------------------------------------------------------ requests */

/* The descriptors of the message become those of the operation. */
static void give_fds(struct session *s, struct task *t)
{
	memcpy(t->fds, s->conn.fds, s->conn.n_fds * sizeof(int));
	t->job.fds = t->fds;
	t->job.n_fds = s->conn.n_fds;
	s->conn.n_fds = 0;
}

static void begin_call(struct session *s, struct batch *b, const struct rpc_request *r,
	const struct verb_desc *verb)
{
	struct task *t = s->n < SERVE_WAITING_MAX ? task_new(s, b, r->id) : NULL;
	struct ckpt_error err = {};

	if (!t) {
		answer(s, b, r->id, NULL,
			rpc_error(RPC_OPERATION - CKPT_E_SPACE, "too many operations at a time"));
		return;
	}
	t->job.id = t->id;
	give_fds(s, t);
	if (call_begin(verb, r->params, &t->job.call, &err) == 0)
		return;
	task_answer(s, t, NULL, rpc_error_of(&err));
	task_free(s, t);
}

static bool is_argv(json_t *argv)
{
	size_t i;
	json_t *e;

	json_array_foreach(argv, i, e)
	{
		if (!json_is_string(e))
			return false;
	}
	return json_array_size(argv) > 0;
}

/* What the command line would do, with the caller's terminal and directory. */
static void begin_command(struct session *s, struct batch *b, const struct rpc_request *r)
{
	json_t *argv = json_object_get(r->params, "argv");
	struct task *t = s->command && is_argv(argv) ? task_new(s, b, r->id) : NULL;

	if (!t) {
		answer(s, b, r->id, NULL,
			rpc_error(
				RPC_INVALID_PARAMS, "parameter argv: an array of text is needed"));
		return;
	}
	t->job.id = t->id;
	t->job.argv = json_incref(argv);
	t->job.command = s->command;
	give_fds(s, t);
}

static void on_request(struct session *s, struct batch *b, json_t *message)
{
	struct rpc_request r;
	const struct verb_desc *verb;

	if (rpc_request(message, &r) < 0) {
		json_t *null = json_null();

		answer(s, b, r.id ? r.id : null, NULL,
			rpc_error(RPC_INVALID_REQUEST, "this is no request of JSON-RPC 2.0"));
		json_decref(null);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(local_methods); i++) {
		if (strcmp(local_methods[i].name, r.method) == 0) {
			local_methods[i].run(s, b, &r);
			return;
		}
	}
	verb = call_known(r.method);
	if (verb)
		begin_call(s, b, &r, verb);
	else if (strcmp(r.method, "command") == 0)
		begin_command(s, b, &r);
	else
		answer(s, b, r.id, NULL,
			rpc_error(RPC_METHOD_NOT_FOUND, "no such method; rpc.discover lists them"));
}

/* A message is one request, or an array of them. */
static void on_message(struct session *s, const char *text, size_t len)
{
	struct batch *b = calloc(1, sizeof(*b));
	json_t *root = NULL, *error = NULL, *null = json_null();
	bool array;
	size_t n;

	if (!b || !(b->replies = json_array())) {
		free(b);
		s->conn.broken = true;
		return;
	}
	*b = (struct batch){
		.replies = b->replies, .single = true, .left = 1, .headers = s->conn.headers};
	if (rpc_parse(text, len, &root, &error) < 0) {
		answer(s, b, null, NULL, error);
		return;
	}
	array = json_is_array(root);
	n = json_array_size(root);
	if (array && (!n || n > SERVE_BATCH_MAX)) {
		answer(s, b, null, NULL,
			rpc_error(RPC_INVALID_REQUEST,
				n ? "too many requests in a batch" : "an empty batch"));
	} else if (!array) {
		on_request(s, b, root);
	} else {
		b->single = false;
		b->left = n;
		for (size_t i = 0; i < n; i++)
			on_request(s, b, json_array_get(root, i));
	}
	json_decref(root);
	conn_drop_fds(&s->conn);
}

static void read_messages(struct session *s)
{
	const char *text;
	size_t len;
	int r = conn_fill(&s->conn);

	while (r == 0 && (r = conn_next(&s->conn, &text, &len)) == 1) {
		on_message(s, text, len);
		r = 0;
	}
	if (r < 0 && (r == -EMSGSIZE || r == -EBADMSG)) {
		json_t *null = json_null();

		send_json(s, rpc_response(null, NULL,
				     rpc_error(RPC_INVALID_REQUEST,
					     r == -EMSGSIZE ? "the message is too long"
							    : "the header can't be read")));
		s->conn.ended = true;
	} else if (r < 0) {
		s->conn.broken = true;
	}
}

/* ------------------------------------------------------------------ the loop */

/* Nobody is left who wants it: what is under way is ended, trees that run go on. */
static void end_all(struct session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->tasks[i]->worker && !s->tasks[i]->tree)
			kill(s->tasks[i]->worker, SIGTERM);
	for (size_t i = 0; i < s->n; i++)
		if (s->tasks[i]->worker && !s->tasks[i]->tree)
			waitpid(s->tasks[i]->worker, NULL, 0);
}

/* Requests that have no reply yet, or trees whose end is to be told. */
static bool busy(const struct session *s)
{
	return s->n || conn_unsent(&s->conn);
}

static int wait_events(struct session *s, struct pollfd *v)
{
	bool takes = !s->conn.ended && conn_unsent(&s->conn) < SERVE_UNREAD_MAX;
	uint64_t now = now_ns(), limit = s->conn.since + SERVE_HALF_MS * 1000000ULL;
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
			if (!t->waits) {
				worker_says(s, t);
			} else {
				task_answer(s, t, json_pack("{s:i}", "pid", (int)t->tree), NULL);
				task_free(s, t);
			}
			break;
		}
	}
	if (v[0].revents & (POLLIN | POLLERR) && !s->conn.ended)
		read_messages(s);
	if (v[0].revents & POLLHUP)
		s->conn.broken = true;
	if (s->conn.since && now_ns() - s->conn.since >= SERVE_HALF_MS * 1000000ULL)
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
		start_some(s);
		conn_flush(&s->conn);
	}
	return r;
}

int session_run(int fd, const struct serve_peer *peer, int (*command)(int argc, char **argv))
{
	struct session s = {.peer = *peer, .command = command};
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
