/*
 * windows.h - the address space of all tasks, cut into windows that are looked at one by one.
 *
 * Tasks that stem from each other have the same pages at the same addresses. So what they share is found by
 * looking at all of them window by window: what is to be remembered is little, the page frames'
 * descriptors stay in the cache, and windows do not need each other.
 */
#ifndef CKPT_DUMP_WINDOWS_H
#define CKPT_DUMP_WINDOWS_H

#include "res/res.h"

/* A want, or what of it lies in one window. */
struct part {
	uint32_t want;
	uint64_t start, end;
};

struct window {
	size_t first, n; /* parts */
};

/* A window is of memory, or one file. In it the parts of a task follow each other by address. */
struct windows {
	struct part *parts;
	struct window *v;
	size_t n_parts, n;
};

/** windows_sort_wants() - bring the wants into the order that windows need: tasks as in the model */
void windows_sort_wants(struct collect_tree *t);

/**
 * windows_find() - cut the wants of a tree, which are sorted
 * @ret: released with windows_done(), also on failure
 * Return: 0; -ENOMEM
 */
int windows_find(const struct collect_tree *t, struct windows *ret);
void windows_done(struct windows *w);

#endif
