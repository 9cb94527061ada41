/*
 * tasks.c - replies, and the workers that they come from.
 *
 * A batch is answered when the last of its requests is. A task whose reply is a tree that runs stays, until the
 * tree has ended: then all who wait for it are told.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "kernel/proc_stat.h"
#include "lib/result_json.h"
#include "serve/session.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

/* ------------------------------------------------------------------ replies */

void session_send(struct session *s, json_t *message)
{
	_cleanup_free_ char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	if (!text || conn_send(&s->conn, text, strlen(text)) < 0)
		s->conn.broken = true;
	json_decref(message);
}

static void batch_free(struct batch *b)
{
	json_decref(b->replies);
	free(b);
}

static void batch_end(struct session *s, struct batch *b)
{
	size_t n = json_array_size(b->replies);

	s->conn.headers = b->headers;
	if (n && b->single)
		session_send(s, json_incref(json_array_get(b->replies, 0)));
	else if (n)
		session_send(s, json_incref(b->replies));
	batch_free(b);
}

void session_answer(struct session *s, struct batch *b, json_t *id, json_t *result, json_t *error)
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

void task_answer(struct session *s, struct task *t, json_t *result, json_t *error)
{
	struct batch *b = t->batch;

	t->batch = NULL;
	if (b)
		session_answer(s, b, t->id, result, error);
	else {
		json_decref(result);
		json_decref(error);
	}
}

/* ------------------------------------------------------------------ tasks */

struct task *task_new(struct session *s, struct batch *b, json_t *id)
{
	struct task *t = s->n < SERVE_WAITING_MAX ? calloc(1, sizeof(*t)) : NULL;

	if (!t || vec_reserve(&s->tasks, &s->cap, s->n + 1, sizeof(struct task *)) < 0) {
		free(t);
		session_answer(s, b, id, NULL,
			rpc_error(RPC_OPERATION - CKPT_E_SPACE, "too many operations at a time"));
		return NULL;
	}
	*t = (struct task){.batch = b, .id = json_incref(id), .pipe = -EBADF};
	s->tasks[s->n++] = t;
	return t;
}

void task_free(struct session *s, struct task *t)
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
	if (t->batch && --t->batch->left == 0) /* the session ends: nobody waits for it */
		batch_free(t->batch);
	fd_close(t->pipe);
	call_done(&t->job.call);
	json_decref(t->exit);
	json_decref(t->job.argv);
	json_decref(t->id);
	strbuf_done(&t->in);
	free(t);
}

/* ------------------------------------------------------------------ workers */

/* Those that wait, as far as there is room for more workers. */
void tasks_start(struct session *s)
{
	for (size_t i = 0; i < s->n && s->workers < SERVE_WORKERS_MAX; i++) {
		struct task *t = s->tasks[i];
		int fd = -EBADF;
		pid_t pid;

		if (t->worker || t->waits)
			continue;
		pid = s->start(&t->job, &fd);
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
	session_send(s, rpc_notification("exit", result));
}

static void on_report(struct session *s, struct task *t, enum report what, json_t *o)
{
	pid_t tree = (pid_t)json_integer_value(json_object_get(o, "pid"));

	switch (what) {
	case REPORT_NOTIFY:
		session_send(s, o);
		break;
	case REPORT_STARTED:
		if (tree > 0 && !t->tree) {
			t->tree = tree;
			s->workers--; /* it only waits from here on */
		}
		task_answer(s, t, o, NULL);
		break;
	case REPORT_EXIT:
		if (t->tree) {
			json_decref(t->exit);
			t->exit = json_copy(o);
			tree_ended(s, t, o);
		} else
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

/* Who waits for a tree of ours has nobody else to tell of its end. */
static void tell_waiting(struct session *s, pid_t tree, const char *why)
{
	for (size_t i = s->n; i-- > 0;) {
		struct task *t = s->tasks[i];

		if (!t->waits || t->tree != tree || t->pipe >= 0)
			continue;
		task_answer(s, t, NULL, rpc_error(RPC_INTERNAL_ERROR, why));
		task_free(s, t);
	}
}

/* The worker has closed its pipe, so it is dead or about to be. */
static void worker_ended(struct session *s, struct task *t)
{
	char text[96];
	int status = 0;

	waitpid(t->worker, &status, 0);
	snprintf(text, sizeof(text), "the worker ended without a reply (%s %d)",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (t->tree)
		tell_waiting(s, t->tree, text);
	else
		s->workers--;
	if (t->batch)
		task_answer(s, t, NULL, rpc_error(RPC_INTERNAL_ERROR, text));
	task_free(s, t);
}

void task_hear(struct session *s, struct task *t)
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

/* Of a process that nobody has waited for yet. */
static bool zombie_status(pid_t pid, int *ret)
{
	struct proc_stat st;

	if (proc_stat_of(pid, &st) < 0 || st.state != 'Z')
		return false;
	*ret = st.exit_code;
	return true;
}

/*
 * A zombie's status is told by /proc, one that has been reaped is told of by its pidfd (Linux >= 6.15). Between the
 * two looks it may go from the one to the other.
 */
void task_waited(struct session *s, struct task *t)
{
	json_t *o = json_pack("{s:i}", "pid", (int)t->tree);
	int status = 0;

	if (t->knows &&
		(pidfd_exit_status(t->pipe, &status) == 0 || zombie_status(t->tree, &status) ||
			pidfd_exit_status(t->pipe, &status) == 0))
		json_add_status(o, status);
	task_answer(s, t, o, NULL);
	task_free(s, t);
}
