/*
 * landing.c - where code that is injected lands on its way home, on a machine whose jumps do not reach
 * everywhere: a few bytes in the zeros behind the code of the program or library that the thread was
 * in (slack_file.c). As in the slack, what a dead tracer has left there is not used again.
 */
#include <errno.h>
#include <stdlib.h>

#include "inject/slack.h"
#include "inject/tracees.h"
#include "util/vec.h"

#define PLACES_MAX 8

struct landings {
	size_t n;
	struct {
		uint64_t start, next, end; /* zeros from next on */
	} v[PLACES_MAX];
};

static bool place_known(const struct landings *l, uint64_t end)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].end == end)
			return true;
	return false;
}

static uint64_t take(struct landings *l, size_t i)
{
	uint64_t at = l->v[i].next;

	l->v[i].next += ARCH_LANDING_SIZE;
	return at;
}

/* From a place that was found for another thread. Return: its address, or 0. */
static uint64_t take_known(struct landings *l, const struct arch_regs *resume)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].end - l->v[i].next >= ARCH_LANDING_SIZE &&
			arch_landing_reaches(l->v[i].next, resume))
			return take(l, i);
	return 0;
}

static uint64_t take_new(struct tracees *tr, struct landings *l, const struct arch_regs *resume)
{
	struct vma_list maps = {0};
	uint64_t at = 0;

	if (proc_maps_read(tr->proc_fd, &maps) < 0)
		return 0;
	for (size_t i = 0; !at && i < maps.n && l->n < PLACES_MAX; i++) {
		uint64_t end = maps.v[i].end, start;

		if (!arch_landing_reaches(end, resume) || place_known(l, end))
			continue;
		start = end - slack_zeros_at_end(tr, &maps.v[i], ARCH_LANDING_SIZE);
		if (end - start < ARCH_LANDING_SIZE)
			continue;
		l->v[l->n].start = l->v[l->n].next = start;
		l->v[l->n].end = end;
		at = take(l, l->n++);
	}
	vma_list_done(&maps);
	return at;
}

int slack_landing(struct tracees *tr, struct arch_regs *resume)
{
	uint8_t code[ARCH_LANDING_SIZE];
	uint64_t at;

	if (!arch_landing_needed(tr->slack_start, tr->slack_end, resume))
		return 0;
	if (!tr->landings)
		tr->landings = calloc(1, sizeof(*tr->landings));
	if (!tr->landings)
		return -ENOMEM;
	at = take_known(tr->landings, resume);
	if (!at)
		at = take_new(tr, tr->landings, resume);
	if (!at)
		return -ENOSPC;
	arch_landing(code, at, resume);
	return tracees_write(tr, at, code, sizeof(code));
}

int slack_bounce(struct tracees *tr, const struct arch_regs *to, uint64_t *ret_at)
{
	uint8_t code[ARCH_LANDING_SIZE];
	struct arch_regs regs = *to;
	int r;

	if (!arch_landing_needed(tr->slack_start, tr->slack_end, to)) {
		*ret_at = slack_take(tr, sizeof(code), 0);
		if (!*ret_at)
			return -ENOSPC;
		arch_landing(code, *ret_at, &regs);
		return tracees_write(tr, *ret_at, code, sizeof(code));
	}
	r = slack_landing(tr, &regs);
	*ret_at = arch_landing_at(&regs);
	return r;
}

/* A landing goes with the others. */
void slack_unbounce(struct tracees *tr, uint64_t at)
{
	if (slack_holds(tr, at))
		slack_zero(tr, at, at + ARCH_LANDING_SIZE);
}

bool slack_on_landing(const struct tracees *tr, uint64_t addr)
{
	const struct landings *l = tr->landings;

	for (size_t i = 0; l && i < l->n; i++)
		if (addr >= l->v[i].start && addr < l->v[i].next)
			return true;
	return false;
}

void slack_landings_clear(struct tracees *tr)
{
	struct landings *l = tr->landings;

	for (size_t i = 0; l && i < l->n; i++)
		slack_zero(tr, l->v[i].start, l->v[i].next);
	free(l);
	tr->landings = NULL;
}
