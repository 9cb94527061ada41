/*
 * task.c - which numbers are of a tree.
 */
#include "task.h"

Test(task, numbers_of_a_tree)
{
	struct model m;

	model_init(&m);
	task_thread(task_make(&m, 700, 1, 800, 900), 705);
	cr_expect(task_in_tree(&m, 700));
	cr_expect(task_in_tree(&m, 705));
	cr_expect_not(task_in_tree(&m, 800)); /* a group without a process holds nothing yet */
	cr_expect_not(task_in_tree(&m, 701));
	model_done(&m);
}
