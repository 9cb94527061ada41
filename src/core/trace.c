/*
 * trace.c - spans of a run as a Chrome/Perfetto trace: see trace.h.
 */
#include "core/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/vec.h"

struct event {
	char *name;   /* owned */
	bool is_name; /* a track's name rather than a span */
	int pid, tid;
	uint64_t start_ns, dur_ns;
};

struct trace {
	pthread_mutex_t lock; /* over the events */
	uint64_t zero_ns;     /* times are told from here */
	struct event *events;
	size_t n, cap;
};

struct trace *trace_new(void)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->zero_ns = now_ns();
	return t;
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->events[i].name);
	free(t->events);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void event_add(struct trace *t, const struct event *e, const char *name)
{
	char *own = strdup(name);

	if (!own)
		return;
	pthread_mutex_lock(&t->lock);
	if (vec_reserve(&t->events, &t->cap, t->n + 1, sizeof(*t->events)) == 0) {
		t->events[t->n] = *e;
		t->events[t->n++].name = TAKE_PTR(own);
	}
	pthread_mutex_unlock(&t->lock);
	free(own);
}

struct trace_span trace_begin(struct trace *t, const char *name, int pid, int tid)
{
	struct trace_span s = {.trace = t, .name = name, .pid = pid, .tid = tid};

	if (t)
		s.start_ns = now_ns();
	return s;
}

void trace_end(struct trace_span *s)
{
	struct event e = {.pid = s->pid, .tid = s->tid, .start_ns = s->start_ns};

	if (!s->trace)
		return;
	e.dur_ns = now_ns() - s->start_ns;
	event_add(s->trace, &e, s->name);
	s->trace = NULL;
}

void trace_name(struct trace *t, int pid, int tid, const char *name)
{
	struct event e = {.is_name = true, .pid = pid, .tid = tid};

	if (t)
		event_add(t, &e, name);
}

/* Return: a new reference, NULL when out of memory or when the name is not UTF-8. */
static json_t *event_json(const struct trace *t, const struct event *e)
{
	const char *what = e->tid < 0 ? "process_name" : "thread_name";

	if (e->is_name)
		return json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", what, "ph", "M", "pid",
			e->pid, "tid", e->tid < 0 ? 0 : e->tid, "args", "name", e->name);
	return json_pack("{s:s, s:s, s:i, s:i, s:f, s:f}", "name", e->name, "ph", "X", "pid",
		e->pid, "tid", e->tid, "ts", (double)(e->start_ns - t->zero_ns) / 1e3, "dur",
		(double)e->dur_ns / 1e3);
}

static char *trace_text(struct trace *t)
{
	json_t *events = json_array(), *root;
	char *text;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(events, event_json(t, &t->events[i]));
	pthread_mutex_unlock(&t->lock);
	root = json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms");
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

int trace_write(struct trace *t, const char *path)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;

	if (!t)
		return 0;
	text = trace_text(t);
	if (!text)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return write_full(fd, text, strlen(text));
}
