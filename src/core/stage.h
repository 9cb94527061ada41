/*
 * stage.h - one stage of an operation: its span in the trace, and its line in the log.
 *
 *	struct stage s = stage_begin(op, "seize", pid);
 *	...
 *	stage_say(&s, "%u threads stopped", n);
 *	stage_end(&s, r);		-> "seize: 8 threads stopped (1.2 ms)" at info level
 *
 * A stage that failed says nothing: the error of the operation does.
 */
#ifndef CKPT_CORE_STAGE_H
#define CKPT_CORE_STAGE_H

#include <stdint.h>

#include "core/op.h"
#include "core/trace.h"

#define STAGE_TEXT 256

struct stage {
	struct ckpt_op *op;
	const char *name; /* static */
	struct trace_span span;
	uint64_t start_ns;
	char text[STAGE_TEXT]; /* what it has to say of itself; cut where it is longer */
};

/**
 * stage_begin() - begin a stage
 * @name:  static
 * @pid:   of the process that it is about, for the trace
 */
struct stage stage_begin(struct ckpt_op *op, const char *name, pid_t pid);

/** stage_say() - what the log says of the stage; the last word counts. printf format, one line */
void stage_say(struct stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * stage_end() - end it
 * @r: what the stage returned; negative: it failed
 * Return: @r
 */
int stage_end(struct stage *s, int r);

#endif
