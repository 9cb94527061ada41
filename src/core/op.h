/*
 * op.h - the context of one operation: where messages go, and the first error.
 *
 * It is passed down explicitly; there is no global. Layers below core return -errno; from core up
 * a failing function has called op_fail() and returns a negative value that its callers only
 * forward. op_fail() and op_log() may be called from several threads at once; the log function
 * is then called by one at a time.
 */
#ifndef CKPT_CORE_OP_H
#define CKPT_CORE_OP_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "ckpt.h"

struct trace;

struct ckpt_op {
	struct ckpt_common common;
	pthread_mutex_t lock;    /* over first, failed and the log function */
	struct ckpt_error first; /* the first error wins; later ones are logged at debug level */
	bool failed;
	struct trace *trace; /* NULL when no trace was asked for */
	pid_t pid_asked; /* by which the user knows the target, where that is another than here; or 0 */
};

/**
 * op_init() - start an operation
 * @common: copied; what it points at is borrowed until op_done(). NULL: nothing is logged or traced
 */
void op_init(struct ckpt_op *op, const struct ckpt_common *common);

/**
 * op_done() - end an operation: write its trace, free what it holds
 * @ret_err: the error is moved there (all zero where nothing failed); may be NULL
 */
void op_done(struct ckpt_op *op, struct ckpt_error *ret_err);

/**
 * op_fail() - note a failure
 * @kind:    for the exit status
 * @err:     errno value (positive), or 0 where no system call failed
 * @call:    system call or step, or NULL; copied
 * @advice:  what the user can do, or NULL; copied
 * @object:  printf format of what it is about
 * Return: -err, or -EINVAL when err is 0: always negative, so `return op_fail(...)`.
 */
int op_fail(struct ckpt_op *op, enum ckpt_kind kind, int err, const char *call, const char *advice,
	const char *object, ...) __attribute__((format(printf, 6, 7)));

/**
 * op_fail_errno() - op_fail() where errno says all: the kind and the advice are chosen from it
 * @err:     errno value, positive
 * @call:    system call, or NULL; copied
 * @object:  printf format of what it is about
 * Return: -err.
 */
int op_fail_errno(struct ckpt_op *op, int err, const char *call, const char *object, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * op_adopt() - take the error of an operation that was tried on behalf of this one
 * @from: its error is moved, as one that op_fail() is called with
 * Return: negative, as op_fail().
 */
int op_adopt(struct ckpt_op *op, struct ckpt_op *from);

/** op_forget() - forget the first error, since what failed is tried again; no other thread may be in @op */
void op_forget(struct ckpt_op *op);

/** op_target() - say how the target was left, for the error's text; the last word counts */
void op_target(struct ckpt_op *op, enum ckpt_target_state state);

/**
 * op_progress() - tell whoever asked how far a long stage is; not often enough to cost anything
 * Workers share one line: only one of them calls it.
 */
static inline void op_progress(
	const struct ckpt_op *op, const char *stage, uint64_t done_bytes, uint64_t total_bytes)
{
	if (op->common.progress)
		op->common.progress(op->common.progress_arg, stage, done_bytes, total_bytes);
}

/**
 * op_cancelled() - whether the caller wishes no more of it; asked where a failure is clean, before what
 * can't be undone
 * Return: 0: it goes on; negative after op_fail().
 */
int op_cancelled(struct ckpt_op *op);

/** op_log() - a line for the user's log, without newline; printf format */
void op_log(struct ckpt_op *op, enum ckpt_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define op_warn(op, ...)  op_log(op, CKPT_LOG_WARN, __VA_ARGS__)
#define op_info(op, ...)  op_log(op, CKPT_LOG_INFO, __VA_ARGS__)
#define op_debug(op, ...) op_log(op, CKPT_LOG_DEBUG, __VA_ARGS__)

#endif
