/*
 * procfile.c - what a new task has of its maker or of us is not set again.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "model/model.h"
#include "proto/procfile.pb-c.h"
#include "res/task/task.h"

#define PARENT 10
#define CHILD  11

/* Steps of a child. @own: NULL: not known; @parents: of a parent in whose place it is made; -1: of none */
static size_t steps(const int *own, int parents, int want)
{
	struct plan p = {.own_oom_score_adj = own, .exe_of = parents < 0 ? 0 : PARENT};
	Ckpt__ProcFile *theirs = calloc(1, sizeof(*theirs)), m = CKPT__PROC_FILE__INIT;
	struct model_rec rec = {.type = &res_procfile.type, .owner = CHILD, .msg = &m.base};
	struct prog prog = {0};
	struct model model;
	size_t n;

	model_init(&model);
	ckpt__proc_file__init(theirs);
	theirs->oom_score_adj = parents;
	cr_assert_eq(model_add_take(&model, &res_procfile.type, PARENT, &theirs->base), 0);
	p.model = &model;
	m.oom_score_adj = want;
	res_procfile.plan(&p, PLAN_EARLY, &rec, &prog);
	cr_assert_eq(prog.err, 0);
	n = prog.n;
	prog_done(&prog);
	model_done(&model);
	return n;
}

Test(procfile, what_is_inherited)
{
	static const int zero = 0;

	cr_expect_eq(steps(&zero, -1, 0), 0, "as ours");
	cr_expect_eq(steps(&zero, -1, 500), 3, "open, write, close");
	cr_expect_eq(steps(NULL, -1, 0), 3, "ours is not known");
	cr_expect_eq(steps(&zero, 500, 500), 0, "as its parent, which has set its own by then");
	cr_expect_eq(steps(&zero, 500, 0), 3, "its parent has changed it, and it is back at ours");
}
