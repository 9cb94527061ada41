/*
 * prog_here.c - a program whose calls we make ourselves, where no task has what they are for.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inject/prog.h"

static bool met(const struct prog_step *s)
{
	if (s->expect == AGENT_EXPECT_ANY)
		return true;
	return s->expect == AGENT_EXPECT_EQ ? s->ret == s->want : s->ret >= 0;
}

static uint64_t value(
	const struct prog *p, const struct prog_arg *a, const struct prog_place *place)
{
	return a->kind == PROG_RESULT ? (uint64_t)p->steps[a->value].ret : prog_value(a, place);
}

/* In its own data, which is where it stays. */
static void set_pointers(struct prog *p, uint64_t data)
{
	for (size_t i = 0; i < p->n_pointers; i++) {
		uint64_t addr = data + p->pointers[i].to;

		memcpy(p->data + p->pointers[i].at, &addr, sizeof(addr));
	}
}

int prog_run_here(struct prog *p, size_t *ret_failed)
{
	struct prog_place place = {.data = (uintptr_t)p->data};
	uint64_t a[6];

	if (p->err)
		return p->err;
	set_pointers(p, place.data);
	for (size_t i = 0; i < p->n; i++) {
		struct prog_step *s = &p->steps[i];
		long ret;

		if (ret_failed)
			*ret_failed = i;
		if (s->op != AGENT_SYSCALL)
			return -EINVAL;
		for (int k = 0; k < 6; k++)
			a[k] = value(p, &s->args[k], &place);
		ret = syscall(s->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		s->ret = ret < 0 ? -errno : ret;
		if (!met(s))
			return s->ret < 0 ? (int)s->ret : -EINVAL;
	}
	return 0;
}
