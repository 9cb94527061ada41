/*
 * trace.h - where the time of a run went: spans, written as a Chrome/Perfetto trace.
 *
 * Spans are kept in memory and written at the end, so that tracing adds no system call while a
 * target is stopped. Every function takes a NULL trace and then does nothing. Spans may be opened
 * and closed by several threads at once; each thread uses its own worker number.
 *
 *	struct trace_span s = trace_begin(op->trace, "pages", pid, worker);
 *	...
 *	trace_end(&s);
 *
 * Source: "Trace Event Format", complete events ("ph":"X") with times in microseconds.
 */
#ifndef CKPT_CORE_TRACE_H
#define CKPT_CORE_TRACE_H

#include <stdint.h>

struct trace;

struct trace_span {
	struct trace *trace; /* NULL: not traced, or ended */
	const char *name;
	int pid, tid;
	uint64_t start_ns;
};

/** trace_new() - Return: an empty trace, freed by trace_free(); NULL when out of memory */
struct trace *trace_new(void);
void trace_free(struct trace *t);

/**
 * trace_begin() - open a span
 * @t:     may be NULL
 * @name:  borrowed until trace_end(), which copies it
 * @pid:   of the task that the work is for, 0 for the tool itself
 * @tid:   of the thread that it is for, or the number of the worker
 * Return: the span, ended by trace_end(); spans of one pid and tid nest.
 */
struct trace_span trace_begin(struct trace *t, const char *name, int pid, int tid);

/** trace_end() - close a span; a second call does nothing. Where memory runs out the span is lost. */
void trace_end(struct trace_span *s);

/**
 * trace_name() - say what a track is called in the viewer
 * @tid:   -1: the name is that of the whole pid
 * @name:  copied
 */
void trace_name(struct trace *t, int pid, int tid, const char *name);

/**
 * trace_write() - write all that was closed so far
 * @path:  made or truncated, mode 0644 & ~umask
 * Return: 0; -ENOMEM; -errno of open(2) or write(2).
 */
int trace_write(struct trace *t, const char *path);

#endif
