/*
 * shares.c - see shares.h.
 *
 * kcmp(2) tells of two tasks whether they share, as an order; so the tasks that are the first to have
 * something are kept sorted, and each is looked up among them: 1000 tasks cost 10 questions each.
 *
 * Who shares handlers shares memory: clone(2) allows no other, and execve(2) gives both up. Two tasks
 * without an I/O context are equal to kcmp. That they have none is told by a task of our own that has
 * none; a thread gets one when it is made only where the thread that makes it has an I/O priority.
 */
#include "dump/shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/kcmp.h"
#include "util/vec.h"

/* The tasks that have one of their own, in the order of kcmp. */
struct owners {
	const struct collect **v;
	size_t n, cap;
	int kcmp;
};

/* Return: 1 found; 0 not found, and @ret_at is its place; -errno */
static int find(const struct owners *o, const struct collect *c, size_t *ret_at)
{
	size_t lo = 0, hi = o->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int order = kcmp_tasks(c->alive, o->v[mid]->alive, o->kcmp, 0, 0);

		if (order < 0)
			return order;
		if (order == KCMP_LESS) {
			hi = mid;
		} else if (order == KCMP_GREATER) {
			lo = mid + 1;
		} else {
			*ret_at = mid;
			return order == KCMP_EQUAL;
		}
	}
	*ret_at = lo;
	return 0;
}

/* Who has it first: an earlier task, or this one. */
static int find_owner(struct owners *o, const struct collect *c, const struct collect **ret)
{
	size_t at = 0;
	int r = find(o, c, &at);

	if (r < 0)
		return op_fail(
			c->op, CKPT_E_SYSTEM, -r, "kcmp", NULL, "pid %d (%s)", c->pid, c->tr->comm);
	if (r > 0) {
		*ret = o->v[at];
		return 0;
	}
	if (vec_reserve(&o->v, &o->cap, o->n + 1, sizeof(*o->v)) < 0)
		return op_fail(c->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "pid %d", c->pid);
	memmove(o->v + at + 1, o->v + at, (o->n - at) * sizeof(*o->v));
	o->v[at] = c;
	o->n++;
	*ret = c;
	return 0;
}

static int find_one(struct owners *o, struct collect *c, enum shared what)
{
	const struct collect *owner;
	int r = find_owner(&o[what], c, &owner);

	if (r == 0 && owner != c)
		c->shared[what] = owner->pid;
	/* the owner of the memory was not asked about handlers: it might have been alone */
	if (r == 0 && what == SHARED_VM && owner != c) {
		const struct collect *same;

		r = find_owner(&o[SHARED_SIGHAND], owner, &same);
	}
	return r;
}

static bool may_share(const struct collect *c, enum shared what)
{
	if (what == SHARED_SIGHAND)
		return c->shared[SHARED_VM];
	if (what == SHARED_IO)
		return kcmp_tasks(getpid(), c->alive, KCMP_IO, 0, 0) != KCMP_EQUAL;
	return true;
}

int shares_find(struct collect_tree *t)
{
	struct owners owners[SHARED_MAX] = {
		[SHARED_VM] = {.kcmp = KCMP_VM},
		[SHARED_FILES] = {.kcmp = KCMP_FILES},
		[SHARED_FS] = {.kcmp = KCMP_FS},
		[SHARED_SIGHAND] = {.kcmp = KCMP_SIGHAND},
		[SHARED_IO] = {.kcmp = KCMP_IO},
	};
	int r = 0;

	for (size_t i = 0; t->n_tasks > 1 && r == 0 && i < t->n_tasks; i++) {
		struct collect *c = &t->tasks[i];

		for (int what = SHARED_VM; r == 0 && c->tr && what < SHARED_MAX; what++)
			if (may_share(c, what))
				r = find_one(owners, c, what);
	}
	for (int what = 0; what < SHARED_MAX; what++)
		free(owners[what].v);
	return r;
}
