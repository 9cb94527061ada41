/*
 * worker.c - see worker.h.
 */
#include "serve/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/result_json.h"
#include "serve/conn.h"
#include "serve/rights.h"
#include "serve/rpc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

#define PIPE_NUMBER       900 /* above what a caller passes, and out of the way of a program's own */
#define PROGRESS_EVERY_NS 100000000ULL

struct worker {
	struct worker_job *job;
	int pipe;
	uint64_t progress_ns, began_ns;
};

static volatile sig_atomic_t wished_to_end;

static void on_term(int sig)
{
	wished_to_end = sig;
}

static bool cancelled(void *arg)
{
	return wished_to_end;
}

/* Whoever listened may be gone: what is done is done. @o is taken. */
static void report(struct worker *w, enum report what, json_t *o)
{
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct report_head h = {.len = text ? (uint32_t)strlen(text) : 0, .what = (char)what};

	json_decref(o);
	if (write_full(w->pipe, &h, sizeof(h)) == 0 && text)
		write_full(w->pipe, text, h.len);
}

static void notify(struct worker *w, const char *method, json_t *params)
{
	if (w->job->id)
		json_object_set(params, "id", w->job->id);
	report(w, REPORT_NOTIFY, rpc_notification(method, params));
}

static void on_progress(void *arg, const char *stage, uint64_t done_bytes, uint64_t total_bytes)
{
	struct worker *w = arg;
	uint64_t now = now_ns(), past = now - w->began_ns;

	if (now - w->progress_ns < PROGRESS_EVERY_NS)
		return;
	w->progress_ns = now;
	notify(w, "progress",
		json_pack("{s:s, s:I, s:I, s:o}", "stage", stage, "done_bytes",
			(json_int_t)done_bytes, "total_bytes", (json_int_t)total_bytes, "left_ns",
			done_bytes && total_bytes >= done_bytes
				? json_integer((json_int_t)((double)past / (double)done_bytes *
							    (double)(total_bytes - done_bytes)))
				: json_null()));
}

static void on_log(void *arg, enum ckpt_log_level level, const char *line)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	notify(arg, "log",
		json_pack("{s:s, s:o}", "level", names[MIN((size_t)level, ARRAY_SIZE(names) - 1)],
			"line", json_text(line)));
}

/* A tree that runs is not ended by the end of who asked for it, nor by a wish that comes too late. */
static void on_started(void *arg, const struct ckpt_restore_result *result)
{
	struct worker *w = arg;
	struct ckpt_restore_req detached = {.detach = true}; /* it has no exit status yet */

	prctl(PR_SET_PDEATHSIG, 0);
	signal(SIGTERM, SIG_IGN);
	report(w, REPORT_STARTED, restore_json(&detached, result));
}

/* A relative path is one of the caller's, and where that is we don't know. */
static int check_path(const struct option_row *row, const char *path, struct ckpt_error *err)
{
	if (!path || *path == '/')
		return 0;
	return usage_error(err,
		"give an absolute path, or /proc/self/fd/N of a descriptor that is passed",
		"parameter %s: %s is no absolute path", row->name, path);
}

static int check_paths(const struct call *c, struct ckpt_error *err)
{
	size_t pos = 0;
	const struct option_row *row;
	int r = 0;

	while (r == 0 && (row = option_next(c->verb->verb, &pos))) {
		const void *field = (const char *)c->req + row->offset;

		/* what has a syntax of its own is no path */
		if (row->home == HOME_REQ && row->type == OPT_STRING && !row->check)
			r = check_path(row, *(const char *const *)field, err);
		if (row->home != HOME_REQ || row->type != OPT_STRINGS || !row->path)
			continue;
		for (const char *const *v = *(const char *const *const *)field; r == 0 && v && *v;
			v++)
			r = check_path(row, row->path(*v), err);
	}
	return r;
}

static void run_call(struct worker *w)
{
	struct call *c = &w->job->call;
	struct ckpt_common *common = c->req;
	struct ckpt_restore_req *restore =
		c->verb->verb == VERB_RESTORE && !c->front.plan ? c->req : NULL;
	struct ckpt_error err = {};
	json_t *result = NULL;
	int r;

	common->log = on_log;
	common->progress = on_progress;
	common->cancelled = cancelled;
	common->log_arg = common->progress_arg = w;
	if (restore) {
		restore->started = on_started;
		restore->started_arg = w;
	}
	r = check_paths(c, &err);
	if (r == 0)
		r = call_run(c, &result, &err);
	if (r < 0)
		report(w, REPORT_ERROR, rpc_error_of(&err));
	else
		report(w, restore && !restore->detach ? REPORT_EXIT : REPORT_RESULT, result);
}

/* The command line's own main(), with the caller's descriptors and directory. */
static void run_command(struct worker *w)
{
	size_t n = json_array_size(w->job->argv);
	char **argv = calloc(n + 1, sizeof(*argv));
	int status;

	for (size_t i = 0; argv && i < n; i++)
		argv[i] = (char *)json_string_value(json_array_get(w->job->argv, i));
	signal(SIGTERM, SIG_DFL); /* a command is ended like any other */
	signal(SIGPIPE, SIG_DFL);
	status = argv ? w->job->command((int)n, argv) : CKPT_E_SPACE;
	fflush(NULL);
	report(w, REPORT_RESULT, json_pack("{s:i}", "exit_code", status));
}

/* The descriptors that came along are 0, 1, 2, ...; nothing else of the session is left. */
static int take_fds(struct worker *w, int pipe_fd)
{
	const struct worker_job *job = w->job;
	int null, directory = -EBADF;

	w->pipe = fcntl(pipe_fd, F_DUPFD_CLOEXEC, PIPE_NUMBER);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (w->pipe < 0 || null < 0)
		return -errno;
	if (job->argv && job->n_fds > 3)
		directory = job->fds[3];
	if (directory >= 0 && fchdir(directory) < 0)
		return -errno;
	/* first out of the way of each other */
	for (size_t i = 0; i < CONN_FDS_MAX; i++) {
		int from = i < job->n_fds && job->fds[i] != directory ? job->fds[i] : null;

		if (i > 2 && from == null)
			break;
		if (dup2(from, PIPE_NUMBER + 100 + (int)i) < 0)
			return -errno;
	}
	for (int i = 0; i < (int)CONN_FDS_MAX; i++)
		if (dup2(PIPE_NUMBER + 100 + i, i) < 0 && errno != EBADF)
			return -errno;
	close_range(w->pipe + 1, ~0U, 0);
	close_range((unsigned)MAX((size_t)3, job->n_fds), (unsigned)w->pipe - 1, 0);
	return 0;
}

static void worker_main(struct worker *w, int pipe_fd)
{
	struct sigaction term = {.sa_handler = on_term};
	sigset_t none;
	bool restores = w->job->argv || w->job->call.verb->verb == VERB_RESTORE;
	int r;

	sigaction(SIGTERM, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NAME, "ckpt-worker");
	setsid();
	w->began_ns = now_ns();
	r = take_fds(w, pipe_fd);
	if (r == 0 && restores)
		r = rights_lend();
	if (r < 0) {
		struct ckpt_error err = {.kind = CKPT_E_SYSTEM,
			.err = -r,
			.object = strdup("the descriptors of the message")};

		report(w, REPORT_ERROR, rpc_error_of(&err));
	} else if (w->job->argv) {
		run_command(w);
	} else {
		run_call(w);
	}
}

pid_t worker_start(struct worker_job *job, int *ret_pipe)
{
	struct worker w = {.job = job};
	sigset_t all, was;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* a wish that it ends waits until it can be heard */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	pid = fork();
	if (pid == 0) {
		worker_main(&w, ends[1]);
		_exit(0);
	}
	sigprocmask(SIG_SETMASK, &was, NULL);
	close(ends[1]);
	if (pid < 0) {
		pid = -errno;
		close(ends[0]);
		return pid;
	}
	*ret_pipe = ends[0];
	return pid;
}
