/*
 * tree.c - process trees made by hand, and who has to make whom. The expected order follows from what
 * fork(2), setsid(2), setpgid(2) and PR_SET_CHILD_SUBREAPER hand on.
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>

#include "restore/tree.h"

#include "../res/task.h"

struct fixture {
	struct ckpt_op op;
	struct model model;
	struct tree tree;
};

static void begin(struct fixture *f)
{
	*f = (struct fixture){0};
	op_init(&f->op, NULL);
	model_init(&f->model);
}

static void grow(struct fixture *f)
{
	struct ckpt_error err;
	int r = tree_new(&f->op, &f->model, &f->tree);

	if (r == 0)
		return;
	op_done(&f->op, &err);
	cr_assert_fail("%s", err.object);
}

static enum ckpt_kind refused(struct fixture *f)
{
	struct ckpt_error err = {0};
	enum ckpt_kind kind;

	cr_assert_lt(tree_new(&f->op, &f->model, &f->tree), 0);
	op_done(&f->op, &err);
	kind = err.kind;
	ckpt_error_done(&err);
	model_done(&f->model);
	return kind;
}

static const struct birth *by_pid(const struct fixture *f, pid_t pid)
{
	for (size_t i = 0; i < f->tree.n; i++)
		if (f->tree.v[i].pid == pid)
			return &f->tree.v[i];
	cr_assert_fail("nobody has the number %d", pid);
	return NULL;
}

static pid_t maker_of(const struct fixture *f, pid_t pid)
{
	return f->tree.v[by_pid(f, pid)->maker].pid;
}

static void end(struct fixture *f)
{
	tree_done(&f->tree);
	model_done(&f->model);
	op_done(&f->op, NULL);
}

Test(tree, one_task_is_ours)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	grow(&f);
	cr_expect_eq(f.tree.n, 1);
	cr_expect_eq(f.tree.v[0].maker, BIRTH_NONE);
	cr_expect(f.tree.v[0].leads_session);
	end(&f);
}

/* 10 forks 11, then leads a session, then forks 12. */
Test(tree, made_before_the_session_was_left)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 5, 1, 5, 5);
	task_make(&f.model, 10, 5, 10, 10);
	task_make(&f.model, 11, 10, 5, 5);
	task_make(&f.model, 12, 10, 10, 10);
	grow(&f);
	cr_expect_eq(maker_of(&f, 11), 10);
	cr_expect_eq(by_pid(&f, 11)->when, BIRTH_BEFORE_SESSION);
	cr_expect_eq(by_pid(&f, 11)->group, GROUP_INHERIT);
	cr_expect_eq(maker_of(&f, 12), 10);
	cr_expect_eq(by_pid(&f, 12)->when, BIRTH_BARE);
	cr_expect_eq(f.tree.n, 4);
	end(&f);
}

/* The leader 20 of a session lives; its grandchild 30 was handed to the subreaper 10. */
Test(tree, orphan_of_a_session_that_is_led)
{
	struct fixture f;
	const struct birth *b;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 20, 10, 20, 20);
	task_make(&f.model, 30, 10, 20, 20);
	grow(&f);
	b = by_pid(&f, 30);
	cr_expect(b->orphan);
	cr_expect(by_pid(&f, 10)->subreaper);
	cr_expect_eq(f.tree.v[b->maker].kind, BIRTH_BETWEEN);
	cr_expect_eq(f.tree.v[f.tree.v[b->maker].maker].pid, 20);
	cr_expect_eq(b->group, GROUP_INHERIT);
	cr_expect_eq(f.tree.n_standing, 3);
	end(&f);
}

/* A daemon's double fork: the leader 20 has ended, 30 and 31 are left, 31 made by 30. */
Test(tree, orphan_of_a_dead_leader)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 30, 10, 20, 20);
	task_make(&f.model, 31, 30, 20, 20);
	grow(&f);
	cr_expect_eq(by_pid(&f, 20)->kind, BIRTH_LEADER);
	cr_expect(by_pid(&f, 20)->leads_session);
	cr_expect_eq(maker_of(&f, 20), 10);
	cr_expect_eq(maker_of(&f, 30), 20);
	cr_expect(by_pid(&f, 30)->orphan);
	cr_expect_eq(maker_of(&f, 31), 30);
	cr_expect_not(by_pid(&f, 31)->orphan);
	cr_expect_eq(f.tree.n_leaders, 1);
	end(&f);
}

/* A pipeline whose first process has ended: its group is led by nobody. */
Test(tree, groups)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 11, 10, 11, 10);
	task_make(&f.model, 12, 10, 11, 10);
	task_make(&f.model, 13, 10, 99, 10);
	task_make(&f.model, 14, 10, 99, 10);
	grow(&f);
	cr_expect_eq(by_pid(&f, 11)->group, GROUP_LEAD);
	cr_expect_eq(by_pid(&f, 12)->group, GROUP_JOIN);
	cr_expect_eq(by_pid(&f, 12)->group_of, 11);
	cr_expect_eq(by_pid(&f, 99)->kind, BIRTH_LEADER);
	cr_expect_eq(by_pid(&f, 99)->group, GROUP_LEAD);
	cr_expect_not(by_pid(&f, 99)->leads_session);
	cr_expect_eq(by_pid(&f, 13)->group_of, 99);
	cr_expect_eq(by_pid(&f, 14)->group_of, 99);
	end(&f);
}

/* Session and group were led from outside; a child that had left the group's leader comes back to it. */
Test(tree, led_from_outside)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 10, 1, 7, 5);
	task_make(&f.model, 11, 10, 11, 5);
	task_make(&f.model, 12, 11, 7, 5);
	grow(&f);
	cr_expect_eq(by_pid(&f, 10)->group, GROUP_INHERIT);
	cr_expect_not(by_pid(&f, 10)->leads_session);
	cr_expect_eq(by_pid(&f, 12)->group, GROUP_OURS);
	cr_expect_eq(f.tree.n, 3);
	end(&f);
}

Test(tree, zombies_end_as_they_had)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 11, 10, 10, 10)->zombie = true;
	grow(&f);
	cr_expect_eq(by_pid(&f, 11)->kind, BIRTH_ZOMBIE);
	cr_expect_eq(f.tree.n_tasks, 1);
	cr_expect_eq(f.tree.n_standing, 2);
	end(&f);
}

/* 11 shares all with its parent, 13 its files with its sibling 12. */
Test(tree, what_is_shared_decides_who_makes)
{
	struct fixture f;
	Ckpt__Task *t;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	t = task_make(&f.model, 11, 10, 10, 10);
	t->vm_of = t->sighand_of = t->files_of = t->fs_of = 10;
	task_make(&f.model, 12, 10, 10, 10);
	task_make(&f.model, 13, 10, 10, 10)->files_of = 12;
	grow(&f);
	cr_expect_eq(maker_of(&f, 11), 10);
	cr_expect_eq(by_pid(&f, 11)->flags, CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS);
	cr_expect_eq(maker_of(&f, 13), 12);
	cr_expect_eq(
		by_pid(&f, 13)->flags & (CLONE_FILES | CLONE_PARENT), CLONE_FILES | CLONE_PARENT);
	cr_expect_eq(by_pid(&f, 13)->exit_signal, 0);
	end(&f);
}

Test(tree, damaged_images_are_refused)
{
	struct fixture f;

	begin(&f);
	cr_expect_eq(refused(&f), CKPT_E_IMAGE, "without a task");
	begin(&f);
	task_make(&f.model, 10, 1, 10, 10)->zombie = true;
	cr_expect_eq(refused(&f), CKPT_E_IMAGE, "with a dead root");
	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 12, 11, 10, 10);
	task_make(&f.model, 11, 10, 10, 10);
	cr_expect_eq(refused(&f), CKPT_E_IMAGE, "a child before its parent");
	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 11, 10, 10, 10)->vm_of = 12;
	cr_expect_eq(refused(&f), CKPT_E_IMAGE, "memory of nobody");
	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 11, 10, 10, 10)->zombie = true;
	task_make(&f.model, 12, 11, 10, 10);
	cr_expect_eq(refused(&f), CKPT_E_IMAGE, "a child of a dead task");
}

/* Two cousins that share memory: clone(2) can't make that. */
Test(tree, what_cannot_be_made_is_refused)
{
	struct fixture f;

	begin(&f);
	task_make(&f.model, 10, 1, 10, 10);
	task_make(&f.model, 11, 10, 10, 10);
	task_make(&f.model, 12, 11, 10, 10);
	task_make(&f.model, 13, 10, 10, 10)->vm_of = 12;
	cr_expect_eq(refused(&f), CKPT_E_REFUSED);
}
