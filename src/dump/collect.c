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
#include "res/socket/socket.h"
#include "res/task/task.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/parallel.h"
#include "util/vec.h"

#define RES_MAX     128
#define READS_WORTH 8 /* tasks whose maps are read: for so many a thread more is made */

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

	if (r >= 0)
		r = proc_stat_read(c->proc_fd, 0, &c->stat);
	if (r >= 0)
		r = proc_status_read(c->proc_fd, 0, &c->status);
	if (r >= 0)
		r = proc_smaps_read(c->proc_fd, &c->maps);
	if (r >= 0)
		c->tr->big = is_big(&c->maps);
	return MIN(r, 0);
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

/* What one task is asked. */
struct questions {
	struct collect *c;
	int err; /* of reading /proc */
	struct prog whole, *threads;
	struct asked at_task, at_thread;
	size_t n;
};

static void questions_done(struct questions *q)
{
	prog_done(&q->whole);
	for (size_t i = 0; q->threads && i < q->n; i++)
		prog_done(&q->threads[i]);
	free(q->threads);
	vma_list_done(&q->c->maps);
	proc_status_done(&q->c->status);
}

static int ask(struct questions *q)
{
	struct collect *c = q->c;

	if (q->err < 0)
		return op_fail(c->op, CKPT_E_TARGET, -q->err, "read", NULL, "/proc/%d (%s)", c->pid,
			c->tr->comm);
	q->n = c->tr->n;
	q->threads = calloc(q->n, sizeof(*q->threads));
	if (!q->threads)
		return collect_oom(c);
	ask_all(c, NULL, &q->whole, &q->at_task);
	for (size_t i = 0; i < q->n; i++)
		ask_all(c, &c->tr->v[i], &q->threads[i], i ? NULL : &q->at_thread);
	if (q->whole.err || (q->n && q->threads[q->n - 1].err))
		return collect_oom(c);
	return fault_point(c->op, "dump.ask");
}

static int collect_task(struct questions *q)
{
	struct collect *c = q->c;
	int r;

	if (!c->tr)
		return task_zombie(c);
	r = collect_scope(c, NULL, &q->whole, &q->at_task);
	for (size_t i = 0; r == 0 && i < q->n; i++)
		if (!c->tr->v[i].dead)
			r = collect_scope(c, &c->tr->v[i], &q->threads[i], &q->at_thread);
	return r;
}

/*
 * Tasks that are asked side by side. Who shares memory is not: there is one place for the code of both,
 * so the later one gives its room back at once.
 */
struct batch {
	struct questions v[REMOTE_MAX];
	size_t n;
};

static void batch_read(void *arg, size_t i)
{
	struct questions *q = &((struct batch *)arg)->v[i];

	if (q->c->tr)
		q->err = read_proc(q->c);
}

static bool goes_alone(const struct collect *c)
{
	return c->shared[SHARED_VM] || (c->tr && c->tr->n > 1);
}

static int batch_run(struct batch *b)
{
	struct remote_batch of[REMOTE_MAX];
	size_t n = 0;
	int r = 0;

	parallel_each_of(b->n, READS_WORTH, batch_read, b);
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		struct questions *q = &b->v[i];

		if (!q->c->tr)
			continue; /* a zombie */
		r = ask(q);
		of[n++] = (struct remote_batch){q->c->tr, &q->whole, q->threads};
	}
	if (r == 0 && n) {
		struct trace_span span = trace_begin(of[0].tr->op->trace, "ask", of[0].tr->pid, 0);

		r = remote_run(of, n);
		trace_end(&span);
	}
	for (size_t i = 0; r == 0 && i < b->n; i++)
		r = collect_task(&b->v[i]);
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].c->shared[SHARED_VM])
			slack_clear(b->v[i].c->tr);
		questions_done(&b->v[i]);
	}
	b->n = 0;
	return r;
}

static int batch_add(struct batch *b, struct collect *c)
{
	int r = 0;

	if (goes_alone(c) || b->n == REMOTE_MAX)
		r = batch_run(b);
	b->v[b->n++] = (struct questions){.c = c};
	return r == 0 && goes_alone(c) ? batch_run(b) : r;
}

static int collect_tasks(struct collect_tree *t)
{
	struct batch *b = calloc(1, sizeof(*b));
	int r = 0;

	if (!b)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu tasks", t->n_tasks);
	for (size_t i = 0; r == 0 && i < t->n_tasks; i++)
		r = batch_add(b, &t->tasks[i]);
	if (r == 0)
		r = batch_run(b);
	free(b);
	return r;
}

static int begin(struct collect_tree *t, const struct tree *tree)
{
	long n_cpus;

	t->tasks = calloc(tree->n, sizeof(*t->tasks));
	if (!t->tasks)
		return op_fail(t->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu tasks", tree->n);
	t->n_tasks = tree->n;
	n_cpus = sysconf(_SC_NPROCESSORS_ONLN); /* reads a file */
	for (size_t i = 0; i < tree->n; i++) {
		struct tracees *tr = tree->v[i].tr;
		struct collect *c = &t->tasks[i];

		*c = (struct collect){.tree = t,
			.op = t->op,
			.model = t->model,
			.tr = tr,
			.pid = tree->v[i].pid,
			.stat = tree->v[i].stat,
			.n_cpus = n_cpus,
			.proc_fd = -EBADF,
			.pidfd = -EBADF};
		c->stat.ppid = tree->v[i].ppid;
		t->n_stopped += tr && tr->group_stopped;
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
	if (r == 0)
		r = collect_tasks(t);
	return r < 0 ? r : files_finish(t);
}

void collect_done(struct collect_tree *t)
{
	for (size_t i = 0; i < t->n_wants; i++)
		fd_close(t->wants[i].fd);
	free(t->wants);
	files_done(t);
	socket_done(t);
	for (size_t i = 0; i < t->n_tasks; i++)
		fd_close(t->tasks[i].pidfd);
	free(t->tasks);
	*t = (struct collect_tree){.op = t->op, .model = t->model};
}
