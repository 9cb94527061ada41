/*
 * task_plan.c - resources of a process made by hand, and the calls that must come of each. The numbers
 * are those of the manual pages.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "proto/itimers.pb-c.h"
#include "proto/posixtimers.pb-c.h"
#include "proto/prctl.pb-c.h"
#include "proto/rlimits.pb-c.h"
#include "res/task/task.h"
#include "util/str.h"

static struct ckpt_op op;

static void quiet(void)
{
	op_init(&op, NULL);
}

/* "call(arg, ...)" of each step, data as D; what the data holds is checked apart. */
static void expect(const struct prog *prog, const char *const *want)
{
	size_t i;

	for (i = 0; i < prog->n; i++) {
		const struct prog_step *s = &prog->steps[i];
		char text[128];
		int n = snprintf(text, sizeof(text), "%ld", s->nr);

		for (int k = 0; k < 4; k++)
			n += s->args[k].kind == PROG_IMM
				     ? snprintf(text + n, sizeof(text) - (size_t)n, " %lld",
					       (long long)s->args[k].value)
				     : snprintf(text + n, sizeof(text) - (size_t)n, " D");
		cr_assert_not_null(want[i], "step %zu is too much: %s", i, text);
		cr_assert_str_eq(text, want[i], "step %zu", i);
	}
	cr_assert_null(want[i], "step %zu is missing: %s", i, want[i]);
}

static const void *data(const struct prog *prog, size_t step, int arg)
{
	return prog->data + prog->steps[step].args[arg].value;
}

static void run(
	const struct res *res, struct plan *p, enum plan_phase phase, void *msg, struct prog *prog)
{
	struct model_rec rec = {.type = &res->type, .owner = 100, .msg = msg};

	p->op = &op;
	res->plan(p, phase, &rec, prog);
}

static Ckpt__PosixTimer timer_a = CKPT__POSIX_TIMER__INIT, timer_b = CKPT__POSIX_TIMER__INIT;
static Ckpt__PosixTimer *timers_ab[] = {&timer_a, &timer_b};

/* Timer 1: monotonic, silent, stopped. Timer 3: real time, signal 34 to thread 105, 1.5 s left of 2 s. */
static Ckpt__PosixTimers timers(void)
{
	Ckpt__PosixTimers m = CKPT__POSIX_TIMERS__INIT;

	timer_a.id = 1;
	timer_a.clock = 1;
	timer_a.notify = 1;
	timer_b.id = 3;
	timer_b.notify = 4;
	timer_b.signo = 34;
	timer_b.value = 77;
	timer_b.target = 105;
	timer_b.left_ns = 1500000000;
	timer_b.interval_ns = 2000000000;
	m.n_timers = 2;
	m.timers = timers_ab;
	return m;
}

/* timer_create 222, settime 223, delete 226, prctl 157 of x86-64 */
Test(posixtimers, ids_chosen, .init = quiet)
{
	Ckpt__PosixTimers m = timers();
	struct plan p = {.timer_ids = true};
	struct prog prog = {0};
	const int32_t *ev, *id;
	const int64_t *it;

	if (SYS_timer_create != 222)
		cr_skip_test("the numbers are of x86-64");
	run(&res_posixtimers, &p, PLAN_LATE, &m, &prog);
	expect(&prog, (const char *const[]){"157 77 1 0 0", "222 1 D D 0", "222 0 D D 0",
			      "157 77 0 0 0", "223 3 0 D 0", NULL});
	id = data(&prog, 2, 2);
	cr_assert_eq(*id, 3);
	ev = data(&prog, 2, 1);
	cr_assert_eq(ev[0], 77);
	cr_assert_eq(ev[2], 34);
	cr_assert_eq(ev[3], 4);
	cr_assert_eq(ev[4], 105);
	it = data(&prog, 4, 2);
	cr_assert_eq(it[0], 2);
	cr_assert_eq(it[1], 0);
	cr_assert_eq(it[2], 1);
	cr_assert_eq(it[3], 500000000);
	prog_done(&prog);
}

/* An older kernel counts: 0 and 2 are made and deleted again. */
Test(posixtimers, ids_counted, .init = quiet)
{
	Ckpt__PosixTimers m = timers();
	struct plan p = {.timer_ids = false};
	struct prog prog = {0};

	if (SYS_timer_create != 222)
		cr_skip_test("the numbers are of x86-64");
	run(&res_posixtimers, &p, PLAN_LATE, &m, &prog);
	expect(&prog, (const char *const[]){"222 1 D D 0", "226 0 0 0 0", "222 1 D D 0",
			      "222 1 D D 0", "226 2 0 0 0", "222 0 D D 0", "223 3 0 D 0", NULL});
	prog_done(&prog);
}

/* One whose signal is pending expires again at once, whatever was left. */
Test(posixtimers, pending, .init = quiet)
{
	Ckpt__PosixTimers m = timers();
	struct plan p = {.timer_ids = true};
	struct prog prog = {0};
	const int64_t *it;

	timer_b.pending = true;
	run(&res_posixtimers, &p, PLAN_LATE, &m, &prog);
	timer_b.pending = false;
	cr_assert_eq(prog.n, 5);
	it = data(&prog, 4, 2);
	cr_assert_eq(it[0], 2);
	cr_assert_eq(it[2], 0);
	cr_assert_eq(it[3], 1);
	prog_done(&prog);
}

Test(posixtimers, bad_images, .init = quiet)
{
	Ckpt__PosixTimers m = timers();
	struct plan p = {.timer_ids = false};
	struct prog prog = {0};

	timer_b.id = 1; /* twice */
	run(&res_posixtimers, &p, PLAN_LATE, &m, &prog);
	cr_assert_lt(prog.err, 0);
	prog_done(&prog);
	timer_b.id = 2000000000; /* not to be counted up to */
	run(&res_posixtimers, &p, PLAN_LATE, &m, &prog);
	cr_assert_lt(prog.err, 0);
	cr_assert_lt(prog.n, 10);
	prog_done(&prog);
}

/* setitimer 38; a periodic timer with nothing left waits for its signal, and is started again */
Test(itimers, all, .init = quiet)
{
	Ckpt__ITimer real = CKPT__ITIMER__INIT, prof = CKPT__ITIMER__INIT;
	Ckpt__ITimer *v[] = {&real, &prof};
	Ckpt__ITimers m = CKPT__ITIMERS__INIT;
	struct plan p = {0};
	struct prog prog = {0};
	const int64_t *it;

	if (SYS_setitimer != 38)
		cr_skip_test("the numbers are of x86-64");
	real.interval_us = 50000;
	prof.which = 2;
	prof.value_us = 3250000;
	m.n_timers = 2;
	m.timers = v;
	run(&res_itimers, &p, PLAN_PROCESS, &m, &prog);
	cr_assert_eq(prog.n, 0);
	run(&res_itimers, &p, PLAN_LATE, &m, &prog);
	expect(&prog, (const char *const[]){"38 0 D 0 0", "38 2 D 0 0", NULL});
	it = data(&prog, 0, 1);
	cr_assert(it[0] == 0 && it[1] == 50000 && it[2] == 0 && it[3] == 1);
	it = data(&prog, 1, 1);
	cr_assert(it[0] == 0 && it[1] == 0 && it[2] == 3 && it[3] == 250000);
	prog_done(&prog);
	prof.which = 3;
	run(&res_itimers, &p, PLAN_LATE, &m, &prog);
	cr_assert_lt(prog.err, 0);
	prog_done(&prog);
}

/* prlimit64 302 */
Test(rlimits, late, .init = quiet)
{
	Ckpt__RLimit files = CKPT__RLIMIT__INIT;
	Ckpt__RLimit *v[] = {&files};
	Ckpt__RLimits m = CKPT__RLIMITS__INIT;
	struct plan p = {0};
	struct prog prog = {0};
	const uint64_t *rl;

	if (SYS_prlimit64 != 302)
		cr_skip_test("the numbers are of x86-64");
	files.resource = 7;
	files.soft = 123;
	files.hard = UINT64_MAX;
	m.n_limits = 1;
	m.limits = v;
	for (enum plan_phase phase = PLAN_EARLY; phase < PLAN_PHASES; phase++)
		run(&res_rlimits, &p, phase, &m, &prog);
	expect(&prog, (const char *const[]){"302 0 7 D 0", NULL});
	rl = data(&prog, 0, 2);
	cr_assert(rl[0] == 123 && rl[1] == UINT64_MAX);
	prog_done(&prog);
}

/* PR_SET_DUMPABLE 4 takes 0 and 1 only; it is the last of all */
Test(prctl, dumpable, .init = quiet)
{
	Ckpt__Prctl m = CKPT__PRCTL__INIT;
	struct plan p = {0};

	if (SYS_prctl != 157)
		cr_skip_test("the numbers are of x86-64");
	for (uint32_t value = 0; value < 3; value++) {
		struct prog prog = {0};

		m.dumpable = value;
		run(&res_prctl, &p, PLAN_LAST, &m, &prog);
		expect(&prog,
			(const char *const[]){value == 1 ? "157 4 1 0 0" : "157 4 0 0 0", NULL});
		prog_done(&prog);
	}
}
