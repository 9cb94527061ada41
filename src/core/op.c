/*
 * op.c - the context of one operation: see op.h.
 *
 * Nothing here aborts: where memory runs out, an error loses its text, never its kind and errno,
 * because this code runs while foreign processes are stopped.
 */
#include "core/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/trace.h"
#include "util/vec.h"

/* What errno values of the file system and of the kernel's limits mean to a user. */
static const struct {
	int err;
	enum ckpt_kind kind;
	const char *advice;
} errno_rows[] = {
	{ENOSPC, CKPT_E_SPACE, "free some space, or choose another directory with -D"},
	{EDQUOT, CKPT_E_SPACE, "the disk quota is used up: choose another directory with -D"},
	{EFBIG, CKPT_E_SPACE, "raise the file size limit (ulimit -f), or choose another directory"},
	{ENOMEM, CKPT_E_SPACE, "free some memory"},
	{EMFILE, CKPT_E_SPACE, "raise the limit of open files (ulimit -n)"},
	{ENFILE, CKPT_E_SPACE, "the system has too many open files (fs.file-max)"},
	{EACCES, CKPT_E_PRIVILEGE,
		"run as the owner or as root, or choose another directory with -D"},
	{EPERM, CKPT_E_PRIVILEGE,
		"run as root; `ckpt check` lists the capabilities that are needed"},
	{EROFS, CKPT_E_SYSTEM, "the file system is read-only: choose another directory with -D"},
	{ENOTDIR, CKPT_E_USAGE,
		"a part of the path is not a directory: choose another one with -D"},
	{ELOOP, CKPT_E_USAGE, "too many symbolic links: choose another directory with -D"},
	{ENAMETOOLONG, CKPT_E_USAGE, "the name is too long: choose another directory with -D"},
	{ESRCH, CKPT_E_TARGET, NULL},
};

void op_init(struct ckpt_op *op, const struct ckpt_common *common)
{
	memset(op, 0, sizeof(*op));
	pthread_mutex_init(&op->lock, NULL);
	if (common)
		op->common = *common;
	if (op->common.trace_file) {
		op->trace = trace_new();
		if (!op->trace)
			op_warn(op, "no memory for the trace %s", op->common.trace_file);
	}
}

void op_done(struct ckpt_op *op, struct ckpt_error *ret_err)
{
	int r;

	if (op->trace) {
		r = trace_write(op->trace, op->common.trace_file);
		if (r < 0)
			op_warn(op, "trace %s: %s", op->common.trace_file, strerror(-r));
		trace_free(op->trace);
		op->trace = NULL;
	}
	if (ret_err)
		*ret_err = op->first;
	else
		ckpt_error_done(&op->first);
	memset(&op->first, 0, sizeof(op->first));
	pthread_mutex_destroy(&op->lock);
}

int op_cancelled(struct ckpt_op *op)
{
	if (!op->common.cancelled || !op->common.cancelled(op->common.cancelled_arg))
		return 0;
	return op_fail(op, CKPT_E_CANCELLED, ECANCELED, NULL, NULL, "the operation was cancelled");
}

/* Return: a copy, caller frees; NULL for NULL or when out of memory. */
static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static void log_later(struct ckpt_op *op, const struct ckpt_error *e)
{
	char *text = ckpt_error_text(e);

	if (text)
		op_debug(op, "after the first error: %s", text);
	free(text);
}

static void fail_take(struct ckpt_op *op, struct ckpt_error *e)
{
	bool first;

	pthread_mutex_lock(&op->lock);
	first = !op->failed;
	if (first) {
		e->target = op->first.target;
		op->first = *e;
		op->failed = true;
	}
	pthread_mutex_unlock(&op->lock);
	if (first)
		return;
	log_later(op, e);
	ckpt_error_done(e);
}

static void fail_v(struct ckpt_op *op, struct ckpt_error *e, const char *object, va_list ap)
{
	if (vasprintf(&e->object, object, ap) < 0)
		e->object = NULL;
	fail_take(op, e);
}

int op_fail(struct ckpt_op *op, enum ckpt_kind kind, int err, const char *call, const char *advice,
	const char *object, ...)
{
	struct ckpt_error e = {
		.kind = kind, .err = err, .call = copy(call), .advice = copy(advice)};
	va_list ap;

	va_start(ap, object);
	fail_v(op, &e, object, ap);
	va_end(ap);
	return err > 0 ? -err : -EINVAL;
}

int op_fail_errno(struct ckpt_op *op, int err, const char *call, const char *object, ...)
{
	struct ckpt_error e = {.kind = CKPT_E_SYSTEM, .err = err, .call = copy(call)};
	va_list ap;

	for (size_t i = 0; i < ARRAY_SIZE(errno_rows); i++) {
		if (errno_rows[i].err != err)
			continue;
		e.kind = errno_rows[i].kind;
		e.advice = copy(errno_rows[i].advice);
	}
	va_start(ap, object);
	fail_v(op, &e, object, ap);
	va_end(ap);
	return err > 0 ? -err : -EINVAL;
}

int op_adopt(struct ckpt_op *op, struct ckpt_op *from)
{
	struct ckpt_error e = from->first;
	int err = e.err;

	memset(&from->first, 0, sizeof(from->first));
	from->failed = false;
	fail_take(op, &e);
	return err > 0 ? -err : -EINVAL;
}

void op_forget(struct ckpt_op *op)
{
	enum ckpt_target_state target = op->first.target;

	ckpt_error_done(&op->first);
	memset(&op->first, 0, sizeof(op->first));
	op->first.target = target;
	op->failed = false;
}

void op_target(struct ckpt_op *op, enum ckpt_target_state state)
{
	pthread_mutex_lock(&op->lock);
	op->first.target = state;
	pthread_mutex_unlock(&op->lock);
}

void op_log(struct ckpt_op *op, enum ckpt_log_level level, const char *fmt, ...)
{
	char *line;
	va_list ap;
	int n;

	if (!op->common.log || level > op->common.log_level)
		return;
	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	pthread_mutex_lock(&op->lock);
	op->common.log(op->common.log_arg, level, line);
	pthread_mutex_unlock(&op->lock);
	free(line);
}
