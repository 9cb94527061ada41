/*
 * thread_plan.c - threads made by hand, and the exact steps that must come of each.
 *
 * What is expected is written down from the manual pages (capabilities(7), seccomp(2),
 * rt_sigqueueinfo(2), sched_setattr(2)); the constants of the planners are not used.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "model/model.h"
#include "proto/creds.pb-c.h"
#include "proto/pending.pb-c.h"
#include "proto/sched.pb-c.h"
#include "proto/seccomp.pb-c.h"
#include "res/thread/thread.h"
#include "util/str.h"

static const char *call_name(long nr)
{
	static const struct {
		long nr;
		const char *name;
	} names[] = {{SYS_prctl, "prctl"}, {SYS_setgroups, "setgroups"},
		{SYS_setresgid, "setresgid"}, {SYS_setresuid, "setresuid"},
		{SYS_setfsgid, "setfsgid"}, {SYS_setfsuid, "setfsuid"}, {SYS_capset, "capset"},
		{SYS_seccomp, "seccomp"}, {SYS_getpid, "getpid"},
		{SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo"},
		{SYS_rt_sigqueueinfo, "rt_sigqueueinfo"},
		{SYS_sched_setaffinity, "sched_setaffinity"}, {SYS_setpriority, "setpriority"},
		{SYS_sched_setattr, "sched_setattr"}, {SYS_ioprio_set, "ioprio_set"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].nr == nr)
			return names[i].name;
	return "?";
}

/* Arguments up to the last that is not zero, in hexadecimal; data as "D", an earlier result as "R". */
static char *prog_text(const struct prog *prog)
{
	struct strbuf sb = {0};
	char *text = NULL;

	for (size_t k = 0; k < prog->n; k++) {
		const struct prog_step *s = &prog->steps[k];
		int n = 6;

		while (n > 0 && s->args[n - 1].kind == PROG_IMM && s->args[n - 1].value == 0)
			n--;
		strbuf_add(&sb, call_name(s->nr));
		for (int i = 0; i < n; i++) {
			if (s->args[i].kind == PROG_IMM)
				strbuf_addf(&sb, " %llx", (unsigned long long)s->args[i].value);
			else
				strbuf_add(&sb, s->args[i].kind == PROG_DATA ? " D" : " R");
		}
		if (s->expect == AGENT_EXPECT_EQ)
			strbuf_addf(&sb, " = %llx", (unsigned long long)s->want);
		else if (s->expect == AGENT_EXPECT_ANY)
			strbuf_add(&sb, " = any");
		strbuf_add(&sb, "\n");
	}
	cr_assert_eq(strbuf_take(&sb, &text), 0);
	return text;
}

struct threads {
	struct ckpt_op op;
	struct model model;
	struct plan plan;
	struct prog prog;
};

static void threads_init(struct threads *t)
{
	memset(t, 0, sizeof(*t));
	op_init(&t->op, NULL);
	model_init(&t->model);
	t->plan = (struct plan){.op = &t->op, .model = &t->model};
}

static void threads_done(struct threads *t)
{
	prog_done(&t->prog);
	model_done(&t->model);
	op_done(&t->op, NULL);
}

static void plan_of(struct threads *t, const struct res *res, uint64_t owner)
{
	struct model_rec rec = {.type = &res->type, .owner = owner};

	rec.msg = model_get(&t->model, &res->type, owner);
	cr_assert_not_null(rec.msg);
	res->plan(&t->plan, PLAN_LATE, &rec, &t->prog);
}

static void expect_plan(struct threads *t, const struct res *res, uint64_t owner, const char *want)
{
	char *text;

	plan_of(t, res, owner);
	cr_assert_eq(t->prog.err, 0);
	text = prog_text(&t->prog);
	cr_expect_str_eq(text, want, "expected:\n%s\ngot:\n%s", want, text);
	free(text);
}

static void expect_refused(struct threads *t, const struct res *res, uint64_t owner)
{
	plan_of(t, res, owner);
	cr_expect_lt(t->prog.err, 0, "expected a refusal");
	cr_expect(t->op.failed);
	cr_expect_eq(t->op.first.kind, CKPT_E_IMAGE);
}

#define NEW(type, init)                                                                            \
	({                                                                                         \
		type *m_ = malloc(sizeof(*m_));                                                    \
		cr_assert_not_null(m_);                                                            \
		*m_ = (type)init;                                                                  \
		m_;                                                                                \
	})

static uint32_t *numbers(size_t n, const uint32_t *v)
{
	uint32_t *copy = malloc(n * sizeof(*v) + 1);

	memcpy(copy, v, n * sizeof(*v));
	return copy;
}

/* ------------------------------------------------------------------ credentials */

/* Ids all different; capability 2 is kept, ambient too; the bounding set lacks 1 of the three. */
static Ckpt__Creds *creds(struct threads *t, uint64_t tid)
{
	Ckpt__Creds *m = NEW(Ckpt__Creds, CKPT__CREDS__INIT);

	m->uid = numbers(4, (const uint32_t[]){1000, 1001, 1002, 5});
	m->gid = numbers(4, (const uint32_t[]){100, 100, 100, 100});
	m->groups = numbers(2, (const uint32_t[]){7, 8});
	m->n_uid = m->n_gid = 4;
	m->n_groups = 2;
	m->last_cap = 2;
	m->bounding = 0x5;
	m->permitted = m->inheritable = 0x4;
	m->ambient = 0x4;
	m->securebits = 0x10;
	m->no_new_privs = true;
	cr_assert_eq(model_add_take(&t->model, &res_creds.type, tid, &m->base), 0);
	return m;
}

static const char creds_steps[] = "prctl 1c 4\n" /* PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP */
				  "setgroups 2 D\n"
				  "setresgid 64 64 64\n"
				  "setresuid 3e8 3e9 3ea\n"
				  "setfsuid 5 = any\n"
				  "setfsuid ffffffffffffffff = 5\n"
				  "capset D D\n"
				  "prctl 18 1\n"   /* PR_CAPBSET_DROP */
				  "prctl 2f 4\n"   /* PR_CAP_AMBIENT, CLEAR_ALL */
				  "prctl 2f 2 2\n" /* PR_CAP_AMBIENT, RAISE */
				  "prctl 1c 10\n"
				  "prctl 26 1\n" /* PR_SET_NO_NEW_PRIVS */
				  "capset D D\n";

Test(thread_plan, creds)
{
	struct threads t;

	threads_init(&t);
	creds(&t, 9);
	expect_plan(&t, &res_creds, 9, creds_steps);
	threads_done(&t);
}

/* The capability sets of the first capset hold CAP_SETPCAP (8) too, those of the last do not. */
Test(thread_plan, creds_capsets)
{
	struct threads t;
	const uint32_t *first, *last;

	threads_init(&t);
	creds(&t, 9);
	plan_of(&t, &res_creds, 9);
	cr_assert_eq(t.prog.n, 13);
	first = (const void *)(t.prog.data + t.prog.steps[6].args[1].value);
	last = (const void *)(t.prog.data + t.prog.steps[12].args[1].value);
	/* effective, permitted, inheritable; then the upper halves */
	cr_expect_arr_eq(first, ((uint32_t[]){0x100, 0x104, 0x4, 0, 0, 0}), 24);
	cr_expect_arr_eq(last, ((uint32_t[]){0, 0x4, 0x4, 0, 0, 0}), 24);
	threads_done(&t);
}

Test(thread_plan, creds_of_another)
{
	struct threads t;
	Ckpt__Creds *m = NEW(Ckpt__Creds, CKPT__CREDS__INIT);

	threads_init(&t);
	creds(&t, 9);
	m->like = 9;
	cr_assert_eq(model_add_take(&t.model, &res_creds.type, 10, &m->base), 0);
	expect_plan(&t, &res_creds, 10, creds_steps);
	threads_done(&t);
}

Test(thread_plan, creds_damaged)
{
	for (int i = 0; i < 5; i++) {
		struct threads t;
		Ckpt__Creds *m;

		threads_init(&t);
		m = creds(&t, 9);
		if (i == 0)
			m->n_uid = 3;
		else if (i == 1)
			m->n_gid = 0;
		else if (i == 2)
			m->last_cap = 64;
		else
			m->like = i == 3 ? 9 : 12345;
		expect_refused(&t, &res_creds, 9);
		threads_done(&t);
	}
}

/* ------------------------------------------------------------------ seccomp */

/* ld nr; jeq restart_syscall (219), kill; allow */
static const struct sock_filter no_restart[] = {
	{0x20, 0, 0, 0}, {0x15, 0, 1, 219}, {0x06, 0, 0, 0x80000000}, {0x06, 0, 0, 0x7fff0000}};

static Ckpt__Seccomp *seccomp(struct threads *t, uint64_t tid, size_t n)
{
	Ckpt__Seccomp *m = NEW(Ckpt__Seccomp, CKPT__SECCOMP__INIT);

	m->mode = 2;
	m->n_filters = n;
	m->filters = calloc(n + 1, sizeof(*m->filters));
	for (size_t i = 0; i < n; i++) {
		m->filters[i] = NEW(Ckpt__SeccompFilter, CKPT__SECCOMP_FILTER__INIT);
		m->filters[i]->code.len = sizeof(no_restart);
		m->filters[i]->code.data = malloc(sizeof(no_restart));
		memcpy(m->filters[i]->code.data, no_restart, sizeof(no_restart));
	}
	cr_assert_eq(model_add_take(&t->model, &res_seccomp.type, tid, &m->base), 0);
	return m;
}

Test(thread_plan, seccomp_one_for_all)
{
	struct threads t;

	threads_init(&t);
	seccomp(&t, 9, 2)->for_all = true;
	seccomp(&t, 10, 0)->like = 9;
	plan_of(&t, &res_seccomp, 10); /* nothing */
	expect_plan(&t, &res_seccomp, 9, "seccomp 1 1 D = 0\nseccomp 1 1 D = 0\n");
	threads_done(&t);
}

Test(thread_plan, seccomp_of_another_and_more)
{
	struct threads t;

	threads_init(&t);
	seccomp(&t, 9, 2);
	seccomp(&t, 10, 1)->like = 9;
	((Ckpt__Seccomp *)model_get(&t.model, &res_seccomp.type, 10))->filters[0]->flags = 2;
	expect_plan(
		&t, &res_seccomp, 10, "seccomp 1 0 D = 0\nseccomp 1 0 D = 0\nseccomp 1 2 D = 0\n");
	threads_done(&t);
}

Test(thread_plan, seccomp_strict)
{
	struct threads t;

	threads_init(&t);
	seccomp(&t, 9, 0)->mode = 1;
	expect_plan(&t, &res_seccomp, 9, "prctl 16 1\n");
	threads_done(&t);
}

Test(thread_plan, seccomp_damaged)
{
	struct threads t;

	threads_init(&t);
	seccomp(&t, 9, 1)->filters[0]->code.len = 9;
	expect_refused(&t, &res_seccomp, 9);
	threads_done(&t);
	threads_init(&t);
	seccomp(&t, 9, 1)->mode = 7;
	expect_refused(&t, &res_seccomp, 9);
	threads_done(&t);
	threads_init(&t);
	seccomp(&t, 9, 1)->like = 9;
	expect_refused(&t, &res_seccomp, 9);
	threads_done(&t);
}

/* ------------------------------------------------------------------ pending signals */

static Ckpt__PendingSignal *pending(struct threads *t, const struct res *res, uint64_t owner)
{
	Ckpt__PendingSignals *m = NEW(Ckpt__PendingSignals, CKPT__PENDING_SIGNALS__INIT);
	Ckpt__PendingSignal *s = NEW(Ckpt__PendingSignal, CKPT__PENDING_SIGNAL__INIT);

	m->signals = calloc(1, sizeof(*m->signals));
	m->signals[m->n_signals++] = s;
	s->signo = 37;
	s->info.len = 128;
	s->info.data = calloc(1, 128);
	cr_assert_eq(model_add_take(&t->model, &res->type, owner, &m->base), 0);
	return s;
}

Test(thread_plan, pending)
{
	struct threads t;

	threads_init(&t);
	pending(&t, &res_pending, 9);
	expect_plan(&t, &res_pending, 9, "getpid\nrt_tgsigqueueinfo R 9 25 D\n");
	threads_done(&t);
	threads_init(&t);
	pending(&t, &res_pendingshared, 9);
	expect_plan(&t, &res_pendingshared, 9, "rt_sigqueueinfo 9 25 D\n");
	threads_done(&t);
}

/* SIGKILL and SIGSTOP, which would end the restore; no signal; another siginfo */
Test(thread_plan, pending_damaged)
{
	static const uint32_t signals[] = {0, 9, 19, 65};
	struct threads t;

	for (size_t i = 0; i < 4; i++) {
		threads_init(&t);
		pending(&t, &res_pendingshared, 9)->signo = signals[i];
		expect_refused(&t, &res_pendingshared, 9);
		threads_done(&t);
	}
	threads_init(&t);
	pending(&t, &res_pending, 9)->info.len = 64;
	expect_refused(&t, &res_pending, 9);
	threads_done(&t);
}

/* ------------------------------------------------------------------ scheduling */

Test(thread_plan, sched)
{
	struct threads t;
	Ckpt__Sched *m = NEW(Ckpt__Sched, CKPT__SCHED__INIT);

	threads_init(&t);
	m->policy = 1; /* SCHED_FIFO */
	m->priority = 11;
	m->nice = -3;
	m->timer_slack_ns = 50000;
	m->ioprio = 0x6001;
	m->cpus.len = 1;
	m->cpus.data = calloc(1, 1);
	m->cpus.data[0] = 2;
	cr_assert_eq(model_add_take(&t.model, &res_sched.type, 9, &m->base), 0);
	expect_plan(&t, &res_sched, 9,
		"sched_setaffinity 0 400 D\n"
		"sched_setaffinity 0 1 D = any\n"
		"setpriority 0 0 fffffffffffffffd\n"
		"sched_setattr 0 D\n"
		"prctl 1d c350\n"
		"ioprio_set 1 0 6001\n");
	threads_done(&t);
}
