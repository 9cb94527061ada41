/*
 * stage.c - see stage.h.
 */
#include "core/stage.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/clock.h"
#include "util/units.h"

struct stage stage_begin(struct ckpt_op *op, const char *name, pid_t pid)
{
	return (struct stage){.op = op,
		.name = name,
		.span = trace_begin(op->trace, name, pid, 0),
		.start_ns = now_ns()};
}

void stage_say(struct stage *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
}

int stage_end(struct stage *s, int r)
{
	char took[UNITS_LEN];

	trace_end(&s->span);
	if (r >= 0)
		op_info(s->op, "%s: %s%s(%s)", s->name, s->text, s->text[0] ? " " : "",
			time_text(now_ns() - s->start_ns, took));
	return r;
}
