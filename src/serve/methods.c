/*
 * methods.c - what a request asks for: a worker does it, but for what a session knows itself (local_methods).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "serve/discover.h"
#include "serve/session.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* ------------------------------------------------------------------ methods of the session itself */

typedef void local_fn(struct session *s, struct batch *b, const struct rpc_request *r);

static void do_ping(struct session *s, struct batch *b, const struct rpc_request *r)
{
	session_answer(s, b, r->id, json_string("pong"), NULL);
}

static void do_version(struct session *s, struct batch *b, const struct rpc_request *r)
{
	session_answer(
		s, b, r->id, json_pack("{s:s, s:s}", "ckpt", CKPT_VERSION, "jsonrpc", "2.0"), NULL);
}

static void do_discover(struct session *s, struct batch *b, const struct rpc_request *r)
{
	session_answer(s, b, r->id, discover_document(), NULL);
}

/* End what a request of this connection has begun; its reply is then an error. */
static void do_cancel(struct session *s, struct batch *b, const struct rpc_request *r)
{
	json_t *id = json_object_get(r->params, "id");
	bool found = false;

	if (!id) {
		session_answer(s, b, r->id, NULL,
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
	session_answer(s, b, r->id, json_pack("{s:b}", "cancelled", found), NULL);
}

/* A tree that this connection has restored: its worker tells of its end. */
static const struct task *tree_of(const struct session *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->tasks[i]->tree == pid && !s->tasks[i]->waits)
			return s->tasks[i];
	return NULL;
}

/* How a process ends is the business of its user, and of root. */
static bool may_know(int pidfd, pid_t pid)
{
	_cleanup_close_ int proc = proc_open(pid);
	struct stat st;

	return proc >= 0 && fstat(proc, &st) == 0 && (!geteuid() || st.st_uid == geteuid()) &&
	       pidfd_signal(pidfd, 0, NULL) != -ESRCH;
}

/* Until a process ends. */
static void do_wait(struct session *s, struct batch *b, const struct rpc_request *r)
{
	json_int_t pid = json_integer_value(json_object_get(r->params, "pid"));
	bool known = pid > 0 && pid <= INT32_MAX;
	const struct task *ours = known ? tree_of(s, (pid_t)pid) : NULL;
	_cleanup_close_ int fd = known && !ours ? pidfd_of((pid_t)pid) : -EBADF;
	struct task *t;

	if (!known || (!ours && fd < 0)) {
		session_answer(s, b, r->id, NULL,
			rpc_error(known ? RPC_OPERATION - CKPT_E_TARGET : RPC_INVALID_PARAMS,
				known ? "there is no such process"
				      : "parameter pid is missing: which process?"));
		return;
	}
	if (ours && ours->exit) {
		session_answer(s, b, r->id, json_incref(ours->exit), NULL);
		return;
	}
	t = task_new(s, b, r->id);
	if (!t)
		return;
	t->waits = true;
	t->tree = (pid_t)pid;
	t->knows = fd >= 0 && may_know(fd, t->tree);
	t->pipe = TAKE_FD(fd);
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

/*
 * Process 0 is the caller. Who lives in a pid namespace of its own knows no number of itself that is good here; the
 * kernel tells us one.
 */
static void name_caller(const struct session *s, json_t *params)
{
	json_t *pid = json_object_get(params, "pid");

	if (json_is_integer(pid) && !json_integer_value(pid) && s->peer.pid > 0)
		json_object_set_new(params, "pid", json_integer(s->peer.pid));
}

static void begin_call(struct session *s, struct batch *b, const struct rpc_request *r,
	const struct verb_desc *verb)
{
	struct task *t = task_new(s, b, r->id);
	struct ckpt_error err = {};

	if (!t)
		return;
	t->job.id = t->id;
	give_fds(s, t);
	name_caller(s, r->params);
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
	struct task *t;

	if (!s->command || !is_argv(argv)) {
		session_answer(s, b, r->id, NULL,
			rpc_error(
				RPC_INVALID_PARAMS, "parameter argv: an array of text is needed"));
		return;
	}
	t = task_new(s, b, r->id);
	if (!t)
		return;
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

		session_answer(s, b, r.id ? r.id : null, NULL,
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
		session_answer(s, b, r.id, NULL,
			rpc_error(RPC_METHOD_NOT_FOUND, "no such method; rpc.discover lists them"));
}

/* A message is one request, or an array of them. */
void session_message(struct session *s, const char *text, size_t len)
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
		session_answer(s, b, null, NULL, error);
		return;
	}
	array = json_is_array(root);
	n = json_array_size(root);
	if (array && (!n || n > SERVE_BATCH_MAX)) {
		session_answer(s, b, null, NULL,
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
