/*
 * session.h - what the files of a session share: its requests, and the workers that do what they ask for.
 */
#ifndef CKPT_SERVE_SESSION_H
#define CKPT_SERVE_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "serve/conn.h"
#include "serve/rpc.h"
#include "serve/serve.h"
#include "serve/worker.h"
#include "util/str.h"

/** The replies of one message. */
struct batch {
	json_t *replies; /* an array */
	bool single;     /* the message was one request, not an array */
	size_t left;     /* requests that have no reply yet */
	bool headers;    /* the framing of the message */
};

/** A request that is not answered yet, or a tree that runs. */
struct task {
	struct batch *batch; /* NULL: answered */
	json_t *id;          /* owned; NULL: of a notification */
	struct worker_job job;
	int fds[CONN_FDS_MAX]; /* of job, owned until it starts */
	pid_t worker;          /* 0: not started, or of a wait */
	int pipe;              /* or the pidfd that is waited for */
	pid_t tree;            /* the root of a tree that runs; of a wait, what is waited for */
	json_t *exit;          /* how that tree has ended, owned; NULL: it has not */
	bool waits;
	bool knows;       /* of a wait: may be told how it ended */
	struct strbuf in; /* reports, not yet complete */
};

/** One connection. */
struct session {
	struct conn conn;
	struct serve_peer peer;
	serve_command *command;
	pid_t (*start)(struct worker_job *job, int *ret_pipe); /* worker_start(), but in tests */
	struct task **tasks;
	size_t n, cap;
	size_t workers; /* of tasks, that run */
};

/* ---- replies and tasks (tasks.c); references that are said to be taken are, on failure as well ---- */

/** session_send() - a message to the caller; @message is taken, NULL ends the connection */
void session_send(struct session *s, json_t *message);

/** session_answer() - the reply to a request; @result or @error is taken; the last of a batch sends it */
void session_answer(struct session *s, struct batch *b, json_t *id, json_t *result, json_t *error);

/** task_new() - Return: in the session, until task_free(); NULL: no room, which has been answered */
struct task *task_new(struct session *s, struct batch *b, json_t *id);
void task_free(struct session *s, struct task *t);

/** task_answer() - the reply to what the task is for, once; @result or @error is taken */
void task_answer(struct session *s, struct task *t, json_t *result, json_t *error);

/** tasks_start() - workers for those that wait for one, as far as there is room */
void tasks_start(struct session *s);

/** task_hear() - its worker has said something, or ended; the task may be gone then */
void task_hear(struct session *s, struct task *t);

/** task_waited() - the process has ended that it waits for; the task is gone then */
void task_waited(struct session *s, struct task *t);

/* ---- requests (methods.c) ---- */

/** session_message() - one request, or an array of them */
void session_message(struct session *s, const char *text, size_t len);

#endif
