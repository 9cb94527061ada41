/*
 * pidns_numbers.c - where the coordinator of a tree finds numbers that are none of the tree's.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/task.pb-c.h"
#include "res/task/task.h"
#include "restore/pidns_numbers.h"

static void task(struct model *m, pid_t pid, pid_t pgid, pid_t sid, const int32_t *tids, size_t n)
{
	Ckpt__Task *t = calloc(1, sizeof(*t));

	ckpt__task__init(t);
	t->pid = pid;
	t->pgid = pgid;
	t->sid = sid;
	t->tids = n ? calloc(n, sizeof(*t->tids)) : NULL;
	for (size_t i = 0; i < n; i++)
		t->tids[i] = tids[i];
	t->n_tids = n;
	cr_assert_eq(model_add_take(m, &res_task.type, (uint64_t)pid, &t->base), 0);
}

/* Some thousands of numbers behind it are wanted, so a number close below one of the tree's is none. */
Test(pidns_numbers, room_behind_it)
{
	struct model m;

	model_init(&m);
	task(&m, 30000, 30000, 30000, (const int32_t[]){30000, 30001, 60000}, 3);
	cr_expect_eq(pidns_number_free(&m, 1000, 4194304), 1000);
	cr_expect_eq(pidns_number_free(&m, 29000, 4194304), 30002);
	cr_expect_eq(pidns_number_free(&m, 30001, 4194304), 30002);
	cr_expect_eq(pidns_number_free(&m, 59999, 4194304), 60001);
	model_done(&m);
}

/* Groups and sessions have numbers, too, which may be of nobody. */
Test(pidns_numbers, of_groups_and_sessions)
{
	struct model m;

	model_init(&m);
	task(&m, 500, 15000, 26000, (const int32_t[]){500}, 1);
	cr_expect_eq(pidns_number_free(&m, 14000, 100000), 15001);
	cr_expect_eq(pidns_number_free(&m, 25999, 100000), 26001);
	model_done(&m);
}

/* Behind pid_max the kernel begins again at 300, where it never goes below. */
Test(pidns_numbers, around_the_end)
{
	struct model m;

	model_init(&m);
	task(&m, 20000, 20000, 20000, (const int32_t[]){20000}, 1);
	cr_expect_eq(pidns_number_free(&m, 32000, 32768), 300);
	cr_expect_eq(pidns_number_free(&m, 2, 32768), 300);
	model_done(&m);
}

/* Where nowhere is enough, the place with most. */
Test(pidns_numbers, most_room)
{
	const int32_t tids[] = {700, 6000, 7000};
	struct model m;

	model_init(&m);
	task(&m, 700, 700, 700, tids, 3);
	cr_expect_eq(pidns_number_free(&m, 300, 8000), 701);
	model_done(&m);
}

Test(pidns_numbers, used)
{
	struct model m;

	model_init(&m);
	task(&m, 700, 800, 900, (const int32_t[]){700, 705}, 2);
	cr_expect(pidns_number_used(&m, 700));
	cr_expect(pidns_number_used(&m, 705));
	cr_expect_not(pidns_number_used(&m, 800)); /* a group without a process holds nothing yet */
	cr_expect_not(pidns_number_used(&m, 701));
	model_done(&m);
}
