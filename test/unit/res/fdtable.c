/*
 * fdtable.c - tables of descriptors made by hand, and the exact steps that must come of each; and
 * the words after --fd.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "model/model.h"
#include "proto/fdtable.pb-c.h"
#include "proto/regfile.pb-c.h"
#include "res/file/fdpolicy.h"
#include "res/file/files.h"
#include "util/str.h"

#define FDS 4

struct table {
	struct ckpt_op op;
	struct model model;
	struct ckpt_restore_req req;
	struct plan plan;
	struct fdpolicy policy;
	struct plan_file files[FDS];
};

static const struct model_rec some_file = {.type = &res_regfile.type};

/* Descriptors and their files; file N is at 900 + N, or at home[N] where that is not 0. */
static void table_init(struct table *t, const int (*fds)[3], size_t n, const int *home)
{
	Ckpt__FdTable *m = calloc(1, sizeof(*m));

	memset(t, 0, sizeof(*t));
	op_init(&t->op, NULL);
	model_init(&t->model);
	ckpt__fd_table__init(m);
	m->fds = calloc(n, sizeof(*m->fds));
	for (size_t i = 0; i < n; i++) {
		Ckpt__Fd *e = calloc(1, sizeof(*e));

		ckpt__fd__init(e);
		e->fd = fds[i][0];
		e->file = fds[i][1];
		e->cloexec = fds[i][2];
		m->fds[m->n_fds++] = e;
	}
	cr_assert_eq(model_add_take(&t->model, &res_fdtable.type, 1, &m->base), 0);
	for (int i = 0; i < FDS; i++)
		t->files[i] = (struct plan_file){.id = i + 1,
			.fd = home && home[i] ? home[i] : 900 + i + 1,
			.rec = &some_file};
	t->plan = (struct plan){.op = &t->op,
		.req = &t->req,
		.model = &t->model,
		.files = t->files,
		.n_files = FDS};
}

static void table_done(struct table *t, struct ckpt_error *err)
{
	free(t->plan.overrides);
	fdpolicy_done(&t->policy);
	model_done(&t->model);
	op_done(&t->op, err);
}

static void expect_plan(struct table *t, const char *want)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct prog prog = {0};
	struct model_rec rec = {.type = &res_fdtable.type,
		.owner = 1,
		.msg = model_get(&t->model, &res_fdtable.type, 1)};

	strbuf_add(&sb, "");
	res_fdtable.plan(&t->plan, PLAN_FILES, &rec, &prog);
	for (size_t i = 0; i < prog.n; i++) {
		const struct prog_step *s = &prog.steps[i];
		const char *name = s->nr == SYS_dup3          ? "dup3"
				   : s->nr == SYS_fcntl       ? "fcntl"
				   : s->nr == SYS_close_range ? "close_range"
							      : "?";

		cr_expect_eq(s->expect, AGENT_EXPECT_OK, "a step that may fail");
		strbuf_addf(&sb, "%s %llu %llu %llx\n", name, (unsigned long long)s->args[0].value,
			(unsigned long long)s->args[1].value, (unsigned long long)s->args[2].value);
	}
	cr_expect_str_eq(sb.s, want);
	prog_done(&prog);
}

/* O_CLOEXEC is 0x80000; FD_CLOEXEC is 1, and F_SETFD 2. */
Test(fdtable, put_shared_and_kept)
{
	static const int fds[][3] = {{0, 1, 0}, {1, 1, 1}, {5, 2, 1}, {7, 3, 0}};
	static const int home[FDS] = {0, 5, 7, 0};
	struct table t;

	table_init(&t, fds, 4, home);
	expect_plan(&t, "dup3 901 0 0\n"
			"dup3 901 1 80000\n"
			"fcntl 5 2 1\n"
			"fcntl 7 2 0\n"
			"close_range 2 4 0\n"
			"close_range 6 6 0\n"
			"close_range 8 4294967295 0\n");
	table_done(&t, NULL);
}

Test(fdtable, nothing_open)
{
	struct table t;

	table_init(&t, NULL, 0, NULL);
	expect_plan(&t, "close_range 0 4294967295 0\n");
	table_done(&t, NULL);
}

/* As a restore does. */
static int read_words(struct table *t)
{
	int r = fdpolicy_read(&t->op, t->req.fds, NULL, NULL, &t->policy);

	t->plan.policy = &t->policy;
	return r < 0 ? r : outside_overrides(&t->plan);
}

Test(fdtable, overridden)
{
	static const int fds[][3] = {{0, 1, 0}, {3, 2, 1}, {4, 2, 0}};
	static const char *const words[] = {
		"3=close", "0=path:/a=b:c", "4=null", "4=inherit:9", NULL};
	struct table t;

	table_init(&t, fds, 3, NULL);
	t.req.fds = words;
	cr_assert_eq(read_words(&t), 0);
	cr_assert_eq(t.plan.n_overrides, 4);
	cr_expect_eq(t.plan.overrides[0].how, OVERRIDE_CLOSE);
	cr_expect_eq(t.plan.overrides[1].how, OVERRIDE_PATH);
	cr_expect_str_eq(t.plan.overrides[1].path, "/a=b:c");
	cr_expect_eq(t.plan.overrides[3].how, OVERRIDE_INHERIT);
	cr_expect_eq(t.plan.overrides[3].mine, 9);
	cr_expect_eq(plan_override(&t.plan, 1, &(Ckpt__Fd){.fd = 4}), &t.plan.overrides[3],
		"the last word counts");
	cr_expect_null(plan_override(&t.plan, 1, &(Ckpt__Fd){.fd = 5}));
	t.plan.overrides[1].from = 951;
	t.plan.overrides[3].from = 953;
	expect_plan(&t, "dup3 951 0 0\n"
			"dup3 953 4 0\n"
			"close_range 1 3 0\n"
			"close_range 5 4294967295 0\n");
	table_done(&t, NULL);
}

static void expect_bad(const char *word, enum ckpt_kind kind)
{
	static const int fds[][3] = {{3, 1, 0}};
	const char *words[] = {word, NULL};
	struct ckpt_error err;
	struct table t;

	table_init(&t, fds, 1, NULL);
	t.req.fds = words;
	cr_expect(read_words(&t) < 0, "%s was taken", word);
	table_done(&t, &err);
	cr_expect_eq(err.kind, kind, "%s", word);
	cr_expect(strstr(err.object, word), "the error does not name %s", word);
	ckpt_error_done(&err);
}

Test(fdtable, words_that_are_none)
{
	expect_bad("3", CKPT_E_USAGE);
	expect_bad("3=", CKPT_E_USAGE);
	expect_bad("=null", CKPT_E_USAGE);
	expect_bad("x=null", CKPT_E_USAGE);
	expect_bad("-3=null", CKPT_E_USAGE);
	expect_bad("3=path:", CKPT_E_USAGE);
	expect_bad("3=inherit:", CKPT_E_USAGE);
	expect_bad("3=inherit:1x", CKPT_E_USAGE);
	expect_bad("3=inherit:99999999999", CKPT_E_USAGE);
	expect_bad("3=nullx", CKPT_E_USAGE);
	expect_bad("4=null", CKPT_E_USAGE); /* the image has no descriptor 4 */
}
