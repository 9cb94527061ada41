/*
 * in_flight_go.c - the restore of what is in flight, see in_flight.h.
 *
 * The steps are those that a task would make, but we make them, when all tasks are complete: the clock of
 * a timer is not to run before. Steps that are about numbers are made by a process that has a copy of our
 * descriptors. Locks are taken before there is any task: whoever has one meanwhile is found out in time.
 */
#include "res/file/in_flight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inject/prog.h"
#include "kernel/apart.h"
#include "proto/fdtable.pb-c.h"
#include "res/registry.h"

/* No task has it, or none any more as --fd says something else of it. */
static bool is_adrift(const struct plan_file *f)
{
	return f->opened && f->in_flight && f->home < 0;
}

struct here {
	struct prog prog;
	size_t failed;
};

static int run(void *arg)
{
	struct here *h = arg;

	return prog_run_here(&h->prog, &h->failed);
}

/* @r: what came of it. Ends what is in h, too. */
static int told(struct plan *p, struct here *h, int r)
{
	const struct prog_step *s = h->failed < h->prog.n ? &h->prog.steps[h->failed] : NULL;

	if (r < 0)
		r = op_fail(p->op, r == -EAGAIN ? CKPT_E_CONFLICT : CKPT_E_SYSTEM, -r,
			s ? s->what : NULL, NULL, "a descriptor in flight%s%s",
			s && s->object ? ": " : "", s && s->object ? s->object : "");
	prog_done(&h->prog);
	return r;
}

int files_in_flight_locks(struct plan *p)
{
	struct here h = {.prog = {.describe = true}};

	for (size_t i = 0; i < p->n_files; i++) {
		struct file_holder us = {.fd = p->files[i].fd, .first = true};

		if (!is_adrift(&p->files[i]))
			continue;
		lock_plan(p, PLAN_PROCESS, p->files[i].id, &us, &h.prog);
		lock_plan(p, PLAN_LATE, p->files[i].id, &us, &h.prog);
	}
	return told(p, &h, run(&h));
}

bool files_need_late(struct plan *p, uint64_t id)
{
	struct plan_file *f = plan_file(p, id);
	const struct res *res = f ? registry_find(f->rec->type) : NULL;
	struct prog tried = {0};

	if (res && res->file->late && !f->need_late)
		f->need_late = res->file->late(p, f->rec, f->fd, &tried) != LATE_NONE;
	prog_done(&tried);
	return f && f->need_late;
}

/* To where its number is held: of the task that has opened it, or by ourselves. */
static int open_late(struct plan *p, struct plan_file *f)
{
	struct here h = {.prog = {.describe = true}};
	size_t step = LATE_NONE;

	if (f->doer && f->opened_late)
		step = files_plan_take(p, f->id, &h.prog);
	else
		step = registry_find(f->rec->type)->file->late(p, f->rec, f->fd, &h.prog);
	if (step != LATE_NONE) {
		PROG_CALL(
			&h.prog, "in flight: put", SYS_dup3, RES(step), IMM(f->fd), IMM(O_CLOEXEC));
		PROG_CALL(&h.prog, "in flight: put", SYS_close, RES(step));
	}
	return told(p, &h, run(&h));
}

static void plan_adrift(
	struct plan *p, enum plan_phase phase, const struct plan_file *f, struct prog *prog)
{
	const struct file_ops *ops = registry_find(f->rec->type)->file;
	const Ckpt__File *file = model_get(p->model, &res_file.type, f->id);

	if (ops->plan)
		ops->plan(p, phase, f->rec, f->fd, prog);
	if (phase == PLAN_LATE && file)
		files_plan_owner(file, f->fd, prog);
}

/* What would be done to numbers of ours is done to copies. */
static int run_adrift(struct plan *p, const struct plan_file *f)
{
	const struct file_ops *ops = registry_find(f->rec->type)->file;
	struct here h = {.prog = {.describe = true}};
	int r = 0;

	if (!ops->adrift || !f->opened)
		return 0;
	ops->adrift(p, f->rec, &h.prog);
	if (h.prog.n)
		r = apart_files(run, &h);
	return told(p, &h, r);
}

static int run_plans(struct plan *p)
{
	struct here h = {.prog = {.describe = true}};

	for (int phase = PLAN_FILES; phase < PLAN_PHASES; phase++)
		for (size_t i = 0; i < p->n_files; i++)
			if (is_adrift(&p->files[i]))
				plan_adrift(p, phase, &p->files[i], &h.prog);
	return told(p, &h, run(&h));
}

int files_in_flight_go(struct plan *p)
{
	int r = 0;

	for (size_t i = 0; i < p->n_files; i++) /* what may be a member of an epoll list */
		if (is_adrift(&p->files[i]))
			files_need_late(p, p->files[i].id);
	for (size_t i = 0; r == 0 && i < p->n_files; i++)
		if (p->files[i].need_late && p->files[i].fd >= 0)
			r = open_late(p, &p->files[i]);
	for (size_t i = 0; r == 0 && i < p->n_files; i++)
		r = run_adrift(p, &p->files[i]);
	return r < 0 ? r : run_plans(p);
}
