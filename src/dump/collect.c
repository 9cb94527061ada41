/*
 * collect.c - see collect.h.
 */
#include "dump/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/trace.h"
#include "dump/shares.h"
#include "inject/remote.h"
#include "inject/slack.h"
#include "kernel/pidfd.h"
#include "res/file/files.h"
#include "res/registry.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/fd.h"

#define RES_MAX 128

/* Where each resource's questions begin, alike for all threads. */
struct asked {
	struct answer at[RES_MAX];
};

/* Over many small mappings two who free only wait for each other: measured with 50 000 of a page. */
#define BIG_BYTES         (64UL << 20)
#define BIG_MAPPING_BYTES (1UL << 20) /* on average */

static bool is_big(const struct vma_list *maps)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < maps->n; i++)
		bytes += maps->v[i].anonymous_bytes;
	return bytes >= BIG_BYTES && bytes / maps->n >= BIG_MAPPING_BYTES;
}

static int read_proc(struct collect *c)
{
	int r = c->pidfd = c->alive == c->pid ? pidfd_of(c->pid) : pidfd_of_thread(c->alive);

	c->n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (r >= 0)
		r = proc_stat_read(c->proc_fd, 0, &c->stat);
	if (r >= 0)
		r = proc_status_read(c->proc_fd, 0, &c->status);
	if (r >= 0)
		r = proc_smaps_read(c->proc_fd, &c->maps);
	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d (%s)", c->pid,
			c->tr->comm);
	c->tr->big = is_big(&c->maps);
	return 0;
}

static bool left_out(const struct collect *c, const struct res *res, enum model_scope scope)
{
	return res->type.scope != scope || c->shared[res->shared];
}

static void ask_all(struct collect *c, struct tracee *t, struct prog *p, struct asked *asked)
{
	const struct res *const *reg = registry();
	enum model_scope scope = t ? SCOPE_THREAD : SCOPE_TASK;

	for (size_t i = 0; reg[i]; i++) {
		if (left_out(c, reg[i], scope) || !reg[i]->ask)
			continue;
		if (asked)
			asked->at[i] = (struct answer){NULL, p->n, prog_data(p, NULL, 0)};
		else
			prog_data(p, NULL, 0);
		reg[i]->ask(c, t, p);
	}
}

static int collect_scope(
	struct collect *c, struct tracee *t, const struct prog *p, const struct asked *asked)
{
	const struct res *const *reg = registry();
	enum model_scope scope = t ? SCOPE_THREAD : SCOPE_TASK;

	for (size_t i = 0; reg[i]; i++) {
		struct answer a = asked->at[i];
		int r;

		if (left_out(c, reg[i], scope) || !reg[i]->collect)
			continue;
		a.prog = p;
		r = reg[i]->collect(c, t, &a);
		if (r < 0)
			return r;
	}
	return 0;
}

struct questions {
	struct prog whole, *threads;
	size_t n;
};

static void questions_done(struct questions *q)
{
	prog_done(&q->whole);
	for (size_t i = 0; q->threads && i < q->n; i++)
		prog_done(&q->threads[i]);
	free(q->threads);
}

static int ask_and_collect(struct collect *c, struct questions *q)
{
	struct asked task = {0}, thread = {0};
	int r;

	ask_all(c, NULL, &q->whole, &task);
	for (size_t i = 0; i < q->n; i++)
		ask_all(c, &c->tr->v[i], &q->threads[i], i ? NULL : &thread);
	if (q->whole.err || (q->n && q->threads[q->n - 1].err))
		return collect_oom(c);
	r = fault_point(c->op, "dump.ask");
	if (r == 0) {
		struct trace_span span = trace_begin(c->op->trace, "ask", c->pid, 0);

		r = remote_run(c->tr, &q->whole, q->threads);
		trace_end(&span);
	}
	if (r == 0)
		r = collect_scope(c, NULL, &q->whole, &task);
	for (size_t i = 0; r == 0 && i < q->n; i++)
		if (!c->tr->v[i].dead)
			r = collect_scope(c, &c->tr->v[i], &q->threads[i], &thread);
	return r;
}

static int collect_task(struct collect *c)
{
	struct questions q = {.n = c->tr->n};
	int r = read_proc(c);

	if (r < 0)
		return r;
	q.threads = calloc(q.n, sizeof(*q.threads));
	r = q.threads ? ask_and_collect(c, &q) : collect_oom(c);
	questions_done(&q);
	vma_list_done(&c->maps);
	proc_status_done(&c->status);
	/* who shares this memory needs the same room for its questions */
	if (c->shared[SHARED_VM])
		slack_clear(c->tr);
	return r;
}

static int begin(struct collect_tree *t, const struct tree *tree)
{
	t->tasks = calloc(tree->n, sizeof(*t->tasks));
	if (!t->tasks)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu tasks", tree->n);
	t->n_tasks = tree->n;
	for (size_t i = 0; i < tree->n; i++) {
		struct tracees *tr = tree->v[i].tr;
		struct collect *c = &t->tasks[i];

		*c = (struct collect){.tree = t,
			.op = t->op,
			.model = t->model,
			.tr = tr,
			.pid = tree->v[i].pid,
			.stat = tree->v[i].stat,
			.proc_fd = -EBADF,
			.pidfd = -EBADF};
		if (tr) {
			c->alive = tr->alive;
			c->proc_fd = tr->proc_fd;
		}
	}
	return 0;
}

int collect_all(struct collect_tree *t, const struct tree *tree)
{
	int r = fault_point(t->op, "dump.collect");

	if (r == 0)
		r = begin(t, tree);
	if (r == 0)
		r = shares_find(t);
	for (size_t i = 0; r == 0 && i < t->n_tasks; i++)
		r = t->tasks[i].tr ? collect_task(&t->tasks[i]) : task_zombie(&t->tasks[i]);
	return r < 0 ? r : files_finish(t);
}

void collect_done(struct collect_tree *t)
{
	for (size_t i = 0; i < t->n_wants; i++)
		fd_close(t->wants[i].fd);
	free(t->wants);
	files_done(t);
	for (size_t i = 0; i < t->n_tasks; i++)
		fd_close(t->tasks[i].pidfd);
	free(t->tasks);
	*t = (struct collect_tree){.op = t->op, .model = t->model};
}
