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
#include "res/task/task.h"
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

#define MOVES_MAX 64

/* Which groups this command puts a thread into; a thread stays where the first living one is put. */
static size_t moves(struct plan *p, const struct tree_plan *t, const struct task_plan *task,
	const struct thread_plan *th, struct cgroup_move v[MOVES_MAX])
{
	const struct thread_plan *alive = task_plan_alive(task), *of_maker;
	size_t maker = task->birth->maker;

	if (!task_plan_lives(task) || th->exits)
		return 0;
	/* one that only stands in for others is where its own maker is */
	while (maker != BIRTH_NONE && !task_plan_lives(&t->tasks[maker]))
		maker = t->tree.v[maker].maker;
	of_maker = maker == BIRTH_NONE ? NULL : task_plan_alive(&t->tasks[maker]);
	return cgroup_moves(p, th->tid, alive->tid, of_maker ? of_maker->tid : 0, v, MOVES_MAX);
}

static void print_moves(struct plan *p, const struct tree_plan *t, const struct task_plan *task,
	const struct thread_plan *th, FILE *out)
{
	struct cgroup_move v[MOVES_MAX];
	size_t n = moves(p, t, task, th, v);

	for (size_t i = 0; i < n; i++) {
		fprintf(out, "     -  %-16s cgroup: this command puts it into%s  ", "-",
			v[i].made ? " one that is made anew" : "");
		str_put(out, v[i].path);
		fputs(" (", out);
		str_put(out, v[i].hierarchy);
		fputs(")\n", out);
	}
}

static void print_thread(struct plan *p, const struct tree_plan *tree, const struct task_plan *t,
	const struct thread_plan *th, FILE *out)
{
	if (t->task) {
		fprintf(out, "%s %d (", th == t->threads ? "task" : "thread", th->tid);
		str_put(out, t->task->comm);
		fputs(")\n", out);
	} else {
		fprintf(out, "stand-in %d\n", th->tid);
	}
	print_moves(p, tree, t, th, out);
	for (size_t k = 0; k < th->prog.n; k++)
		print_step(out, k, &th->prog.steps[k]);
}

int plan_print(struct plan *p, const struct tree_plan *t, FILE *out)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->tasks[i].n; k++)
			print_thread(p, t, &t->tasks[i], &t->tasks[i].threads[k], out);
	return ferror(out) ? -EIO : 0;
}

/* Return: a new reference; NULL when out of memory, as json_pack() does with a NULL in it. */
static json_t *step_json(const struct prog_step *s)
{
	const char *call = call_name(s);

	return json_pack("{s:o, s:s, s:o}", "call", call ? json_string(call) : json_null(), "what",
		s->what, "object", s->object ? json_of_str(s->object) : json_null());
}

static json_t *moves_json(struct plan *p, const struct tree_plan *t, const struct task_plan *task,
	const struct thread_plan *th)
{
	struct cgroup_move v[MOVES_MAX];
	size_t n = moves(p, t, task, th, v);
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			all, json_pack("{s:o, s:o, s:b}", "hierarchy", json_of_str(v[i].hierarchy),
				     "path", json_of_str(v[i].path), "made", v[i].made));
	return all;
}

static json_t *thread_json(struct plan *p, const struct tree_plan *tree, const struct task_plan *t,
	const struct thread_plan *th)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < th->prog.n; i++)
		json_array_append_new(steps, step_json(&th->prog.steps[i]));
	return json_pack("{s:i, s:o, s:o}", "tid", (int)th->tid, "cgroups",
		moves_json(p, tree, t, th), "steps", steps);
}

/* Without a name: one that is made only so that others get their places. */
static json_t *task_json(struct plan *p, const struct tree_plan *tree, const struct task_plan *t)
{
	json_t *threads = json_array();

	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(threads, thread_json(p, tree, t, &t->threads[i]));
	return json_pack("{s:i, s:o, s:o}", "pid", t->n ? (int)t->threads[0].tid : 0, "comm",
		t->task ? json_of_str(t->task->comm) : json_null(), "threads", threads);
}

int plan_print_json(struct plan *p, const struct tree_plan *t, FILE *out)
{
	json_t *tasks = json_array(), *root;
	int r;

	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(tasks, task_json(p, t, &t->tasks[i]));
	root = json_pack("{s:o}", "tasks", tasks);
	if (!root)
		return -ENOMEM;
	r = json_dumpf(root, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF ? -EIO : 0;
	json_decref(root);
	return r;
}
