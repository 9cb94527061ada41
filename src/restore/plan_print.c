/*
 * plan_print.c - a plan for people, or as JSON.
 *
 * What it prints comes from an image, so no text of it may move a cursor or break the JSON.
 */
#include <errno.h>
#include <jansson.h>

#include "agent/abi.h"
#include "kernel/syscall_name.h"
#include "model/dump_json.h"
#include "restore/plan.h"
#include "util/str.h"

/* A step that is no system call is the agent's own doing. */
static const char *call_name(const struct prog_step *s)
{
	return s->op == AGENT_SYSCALL ? syscall_name(s->nr) : NULL;
}

static void print_step(FILE *out, size_t number, const struct prog_step *s)
{
	const char *call = call_name(s);

	fprintf(out, "  %4zu  %-16s %s%s", number, call ? call : "-", s->what,
		s->object ? "  " : "");
	str_put(out, s->object);
	fputc('\n', out);
}

static void print_thread(const struct task_plan *t, const struct thread_plan *th, FILE *out)
{
	if (t->task) {
		fprintf(out, "%s %d (", th == t->threads ? "task" : "thread", th->tid);
		str_put(out, t->task->comm);
		fputs(")\n", out);
	} else {
		fprintf(out, "stand-in %d\n", th->tid);
	}
	for (size_t k = 0; k < th->prog.n; k++)
		print_step(out, k, &th->prog.steps[k]);
}

int plan_print(const struct tree_plan *t, FILE *out)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->tasks[i].n; k++)
			print_thread(&t->tasks[i], &t->tasks[i].threads[k], out);
	return ferror(out) ? -EIO : 0;
}

/* Return: a new reference; NULL when out of memory, as json_pack() does with a NULL in it. */
static json_t *step_json(const struct prog_step *s)
{
	const char *call = call_name(s);

	return json_pack("{s:o, s:s, s:o}", "call", call ? json_string(call) : json_null(), "what",
		s->what, "object", s->object ? json_of_str(s->object) : json_null());
}

static json_t *thread_json(const struct thread_plan *th)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < th->prog.n; i++)
		json_array_append_new(steps, step_json(&th->prog.steps[i]));
	return json_pack("{s:i, s:o}", "tid", (int)th->tid, "steps", steps);
}

/* Without a name: one that is made only so that others get their places. */
static json_t *task_json(const struct task_plan *t)
{
	json_t *threads = json_array();

	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(threads, thread_json(&t->threads[i]));
	return json_pack("{s:i, s:o, s:o}", "pid", t->n ? (int)t->threads[0].tid : 0, "comm",
		t->task ? json_of_str(t->task->comm) : json_null(), "threads", threads);
}

int plan_print_json(const struct tree_plan *t, FILE *out)
{
	json_t *tasks = json_array(), *root;
	int r;

	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(tasks, task_json(&t->tasks[i]));
	root = json_pack("{s:o}", "tasks", tasks);
	if (!root)
		return -ENOMEM;
	r = json_dumpf(root, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF ? -EIO : 0;
	json_decref(root);
	return r;
}
