/*
 * pidns_numbers.c - where the coordinator of a tree finds numbers that are none of the tree's.
 */
#include <criterion/criterion.h>

#include "restore/pidns_numbers.h"

#include "../res/task.h"

/* Some thousands of numbers behind it are wanted, so a number close below one of the tree's is none. */
Test(pidns_numbers, room_behind_it)
{
	struct model m;
	Ckpt__Task *t;

	model_init(&m);
	t = task_make(&m, 30000, 1, 30000, 30000);
	task_thread(t, 30001);
	task_thread(t, 60000);
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
	task_make(&m, 500, 1, 15000, 26000);
	cr_expect_eq(pidns_number_free(&m, 14000, 100000), 15001);
	cr_expect_eq(pidns_number_free(&m, 25999, 100000), 26001);
	model_done(&m);
}

/* Behind pid_max the kernel begins again at 300, where it never goes below. */
Test(pidns_numbers, around_the_end)
{
	struct model m;

	model_init(&m);
	task_make(&m, 20000, 1, 20000, 20000);
	cr_expect_eq(pidns_number_free(&m, 32000, 32768), 300);
	cr_expect_eq(pidns_number_free(&m, 2, 32768), 300);
	model_done(&m);
}

/* Where nowhere is enough, the place with most. */
Test(pidns_numbers, most_room)
{
	struct model m;
	Ckpt__Task *t;

	model_init(&m);
	t = task_make(&m, 700, 1, 700, 700);
	task_thread(t, 6000);
	task_thread(t, 7000);
	cr_expect_eq(pidns_number_free(&m, 300, 8000), 701);
	model_done(&m);
}
