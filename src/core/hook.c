/*
 * hook.c - see hook.h.
 */
#include "core/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/command.h"
#include "util/cleanup.h"
#include "util/json_str.h"
#include "util/str.h"
#include "util/vec.h"

#define FACTS_MAX   12
#define PREFIX      "CKPT_"
#define POINT_CHARS "abcdefghijklmnopqrstuvwxyz-" /* what stands before '=' is meant as one */

static const char *const points[] = {
	[HOOK_BEFORE_DUMP] = "before-dump",
	[HOOK_DUMP_STOPPED] = "dump-stopped",
	[HOOK_AFTER_DUMP] = "after-dump",
	[HOOK_BEFORE_RESTORE] = "before-restore",
	[HOOK_RESTORE_STOPPED] = "restore-stopped",
	[HOOK_AFTER_RESTORE] = "after-restore",
};

/* ------------------------------------------------------------------ the value of the option */

/* Return: the length of the point's name, without '='; 0: for all points */
static size_t point_len(const char *value)
{
	size_t n = strspn(value, POINT_CHARS);

	return value[n] == '=' ? n : 0;
}

const char *hook_file(const char *value)
{
	size_t n = point_len(value);

	return n ? value + n + 1 : value;
}

static bool is_of(const char *value, enum hook_point point)
{
	size_t n = point_len(value);

	return !n || (strlen(points[point]) == n && strncmp(points[point], value, n) == 0);
}

static bool in_range(const char *value, enum hook_point first, enum hook_point last)
{
	for (enum hook_point p = first; p <= last; p++)
		if (is_of(value, p))
			return *hook_file(value);
	return false;
}

const char *hook_dump_wrong(const char *value)
{
	return in_range(value, HOOK_BEFORE_DUMP, HOOK_AFTER_DUMP)
		       ? NULL
		       : "FILE, or before-dump=FILE, dump-stopped=FILE, after-dump=FILE";
}

const char *hook_restore_wrong(const char *value)
{
	return in_range(value, HOOK_BEFORE_RESTORE, HOOK_AFTER_RESTORE)
		       ? NULL
		       : "FILE, or before-restore=FILE, restore-stopped=FILE, after-restore=FILE";
}

const char *hook_any_wrong(const char *value)
{
	return in_range(value, HOOK_BEFORE_DUMP, HOOK_AFTER_RESTORE)
		       ? NULL
		       : "FILE, or POINT=FILE: before-dump, dump-stopped, after-dump, "
			 "before-restore, restore-stopped, after-restore";
}

/* ------------------------------------------------------------------ what a hook is told */

struct fact {
	const char *name; /* static */
	char *text;       /* owned */
	bool number;      /* of JSON; else it is text */
};

struct facts {
	struct fact v[FACTS_MAX];
	size_t n;
	bool failed; /* no memory */
};

static void __attribute__((format(printf, 4, 5)))
add(struct facts *f, const char *name, bool number, const char *fmt, ...)
{
	struct fact *e = &f->v[f->n];
	va_list ap;

	va_start(ap, fmt);
	*e = (struct fact){.name = name, .number = number};
	if (vasprintf(&e->text, fmt, ap) < 0)
		f->failed = true;
	else
		f->n++;
	va_end(ap);
}

static void facts_done(struct facts *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].text);
}

static void facts_of(const struct hooks *h, enum hook_point point, struct facts *f)
{
	_cleanup_free_ char *here = *h->dir == '/' ? NULL : getcwd(NULL, 0);

	add(f, "point", false, "%s", points[point]);
	add(f, "pid", true, "%d", h->pid);
	add(f, "crid", false, "%" PRIu64, h->crid); /* text, as in all results */
	add(f, "dir", false, "%s%s%s", here ? here : "", here ? "/" : "", h->dir);
	if (h->tasks)
		add(f, "tasks", true, "%u", h->tasks);
	if (h->threads)
		add(f, "threads", true, "%u", h->threads);
	if (h->bytes)
		add(f, "bytes", true, "%" PRIu64, h->bytes);
}

/* How it went. */
static void facts_of_end(const struct hooks *h, enum ckpt_target_state target, struct facts *f)
{
	const struct ckpt_error *err = &h->op->first;
	_cleanup_free_ char *text = h->op->failed ? ckpt_error_text(err) : NULL;

	add(f, "status", true, "%d", h->op->failed ? (int)err->kind : 0);
	add(f, "target", false, "%s", ckpt_target_name(h->op->failed ? err->target : target));
	if (text)
		add(f, "error", false, "%s", text);
}

/* Return: caller frees; NULL: no memory */
static char *facts_json(const struct facts *f)
{
	json_t *o = json_object();
	char *text;

	for (size_t i = 0; i < f->n; i++)
		json_object_set_new(o, f->v[i].name,
			f->v[i].number ? json_integer((json_int_t)strtoll(f->v[i].text, NULL, 10))
				       : json_of_str(f->v[i].text));
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

/* The name of a fact as a variable, such as CKPT_PID=. */
static void variable(const char *name, char ret[32])
{
	size_t n = (size_t)snprintf(ret, 32, PREFIX "%s=", name);

	for (size_t i = 0; i < n; i++)
		if (ret[i] >= 'a' && ret[i] <= 'z')
			ret[i] = (char)(ret[i] - 'a' + 'A');
}

static bool is_fact(const struct facts *f, const char *entry)
{
	char name[32];

	for (size_t i = 0; i < f->n; i++) {
		variable(f->v[i].name, name);
		if (str_startswith(entry, name))
			return true;
	}
	return false;
}

/* Ours, and what else is in the environment. Return: caller frees it and the first f->n of it; NULL: no memory */
static char **facts_env(const struct facts *f)
{
	size_t n = 0;
	char **env, name[32];

	while (environ && environ[n])
		n++;
	env = calloc(f->n + n + 1, sizeof(*env));
	for (size_t i = 0; env && i < f->n; i++) {
		variable(f->v[i].name, name);
		if (asprintf(&env[i], "%s%s", name, f->v[i].text) >= 0)
			continue;
		while (i-- > 0)
			free(env[i]);
		free(env);
		return NULL;
	}
	n = f->n;
	for (char **e = environ; env && e && *e; e++)
		if (!is_fact(f, *e))
			env[n++] = *e;
	return env;
}

/* ------------------------------------------------------------------ a call */

struct call {
	const struct hooks *h;
	const char *file;
	enum hook_point point;
	bool last; /* point of the operation: it is not cancelled any more */
};

static void on_line(void *arg, int fd, const char *line)
{
	const struct call *c = arg;

	op_log(c->h->op, fd == STDERR_FILENO ? CKPT_LOG_WARN : CKPT_LOG_INFO, "hook %s: %s",
		c->file, line);
}

static bool ended(void *arg)
{
	const struct call *c = arg;
	const struct ckpt_common *common = &c->h->op->common;

	return !c->last && common->cancelled && common->cancelled(common->cancelled_arg);
}

/* How it ended, where that is no success. Return: "" for a success */
static const char *how(int r, int status, uint64_t limit_s, char text[96])
{
	if (r == -ETIMEDOUT)
		snprintf(text, 96, "it took longer than %" PRIu64 " s", limit_s);
	else if (r < 0)
		snprintf(text, 96, "%s", strerror(-r));
	else if (WIFSIGNALED(status))
		snprintf(text, 96, "killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		snprintf(text, 96, "exit status %d", WEXITSTATUS(status));
	else
		*text = '\0';
	return text;
}

/* Return: 0; negative after op_fail(), or after a warning at the last point */
static int call(struct call *c, const struct facts *f)
{
	char *argv[] = {(char *)c->file, NULL}, text[96];
	_cleanup_free_ char *input = facts_json(f);
	char **env = input ? facts_env(f) : NULL;
	struct command cmd = {.path = c->file,
		.argv = argv,
		.env = env,
		.input = input,
		.input_len = input ? strlen(input) : 0,
		.limit_ms = 1000 * (c->h->limit_s ? c->h->limit_s : HOOK_LIMIT_S),
		.ended = ended,
		.line = on_line,
		.arg = c};
	int status = 0, r = -ENOMEM;

	if (env)
		r = command_run(&cmd, &status);
	for (size_t i = 0; env && i < f->n; i++)
		free(env[i]);
	free(env);
	how(r, status, cmd.limit_ms / 1000, text);
	if (!*text)
		return 0;
	if (c->last)
		op_warn(c->h->op, "hook %s at %s: %s", c->file, points[c->point], text);
	else if (r == -ECANCELED)
		op_cancelled(c->h->op);
	else
		op_fail(c->h->op, CKPT_E_REFUSED, 0, NULL, NULL, "hook %s at %s: %s", c->file,
			points[c->point], text);
	return -EINVAL;
}

int hooks_check(const struct hooks *h)
{
	struct stat st;

	for (const char *const *v = h->v; v && *v; v++) {
		const char *file = hook_file(*v);
		int r = stat(file, &st) < 0                               ? -errno
			: !S_ISREG(st.st_mode)                            ? -EACCES
			: faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) < 0 ? -errno
									  : 0;

		if (r < 0)
			return op_fail(h->op, CKPT_E_USAGE, -r, NULL,
				"a hook is the path of an executable file", "hook %s", file);
	}
	return 0;
}

int hooks_call(const struct hooks *h, enum hook_point point)
{
	struct facts f = {0};
	int r = 0;

	if (!hooks_any(h))
		return 0;
	facts_of(h, point, &f);
	for (const char *const *v = h->v; r == 0 && *v; v++)
		if (is_of(*v, point))
			r = f.failed ? op_fail_errno(h->op, ENOMEM, NULL, "the hooks")
				     : call(&(struct call){h, hook_file(*v), point, false}, &f);
	facts_done(&f);
	return r;
}

void hooks_after(const struct hooks *h, enum hook_point point, enum ckpt_target_state target)
{
	struct facts f = {0};
	size_t n = 0;

	if (!hooks_any(h))
		return;
	facts_of(h, point, &f);
	facts_of_end(h, target, &f);
	while (h->v[n])
		n++;
	while (n-- > 0)
		if (is_of(h->v[n], point) && !f.failed)
			call(&(struct call){h, hook_file(h->v[n]), point, true}, &f);
	facts_done(&f);
}
