/*
 * frames.c - see frames.h.
 *
 * A hash table in which neighbours stay neighbours: pages are looked up by ascending address, task after
 * task. Other pages of the same address are far off, where the first of their neighbours are as well.
 */
#include "dump/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SHIFT 12
#define SLOTS_MIN  4096

static size_t first_slot(const struct frames *f, uint64_t address)
{
	return (address >> PAGE_SHIFT) & (f->n_slots - 1);
}

/* An odd step comes to every slot; this one near to where it was after eight of them. */
static size_t next_slot(const struct frames *f, size_t at)
{
	return (at + f->n_slots / 8 * 5 + 1) & (f->n_slots - 1);
}

/* Return: where it is, or the free slot for it */
static struct frame *find(const struct frames *f, uint64_t address, uint64_t key)
{
	size_t at = first_slot(f, address);

	while (f->v[at].address && (f->v[at].address != address || f->v[at].key != key))
		at = next_slot(f, at);
	return &f->v[at];
}

static int grow(struct frames *f)
{
	struct frames n = *f;

	n.n_slots = f->n_slots ? f->n_slots * 2 : SLOTS_MIN;
	n.v = calloc(n.n_slots, sizeof(*n.v));
	if (!n.v)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_slots; i++)
		if (f->v[i].address)
			*find(&n, f->v[i].address, f->v[i].key) = f->v[i];
	free(f->v);
	*f = n;
	return 0;
}

int frames_note(
	struct frames *f, uint64_t address, uint64_t key, uint32_t task, uint32_t *ret_first)
{
	struct frame *at;

	*ret_first = FRAME_OF_NOBODY;
	if (2 * f->n >= f->n_slots && grow(f) < 0)
		return -ENOMEM;
	at = find(f, address, key);
	if (!at->address) {
		*at = (struct frame){.address = address, .key = key, .task = task};
		f->n++;
		return 0;
	}
	f->n_shared += !at->shared;
	at->shared = true;
	*ret_first = at->task;
	return 0;
}

void frames_confirm(struct frames *f, uint64_t address, uint64_t key, uint32_t task)
{
	struct frame *at = f->n ? find(f, address, key) : NULL;

	if (!at || !at->address || at->task != task || !at->shared || at->stays)
		return;
	at->stays = true;
	f->n_staying++;
}

bool frames_stays(const struct frames *f, uint64_t address, uint32_t task)
{
	bool any = false;

	if (!f->n)
		return false;
	for (size_t at = first_slot(f, address); f->v[at].address; at = next_slot(f, at)) {
		const struct frame *x = &f->v[at];

		if (x->address != address || x->task != task || !x->shared)
			continue;
		if (!x->stays)
			return false;
		any = true;
	}
	return any;
}

void frames_clear(struct frames *f)
{
	if (f->n)
		memset(f->v, 0, f->n_slots * sizeof(*f->v));
	f->n = f->n_shared = f->n_staying = 0;
}

void frames_done(struct frames *f)
{
	free(f->v);
	*f = (struct frames){0};
}
