/*
 * spread.h - how far a page has spread: which tasks have the one that a task has in the image.
 *
 * Tasks are counted so that each is followed by all its descendants; who has a page is then told by the
 * first and the last of them.
 */
#ifndef CKPT_RESTORE_SPREAD_H
#define CKPT_RESTORE_SPREAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A task has pages of another one, as an alias. */
struct spread_use {
	pid_t of;
	uint32_t owner, by; /* that task and this one, as counted */
	uint64_t start, end;
};

/* Pages of a task that the same others have. */
struct spread_cell {
	pid_t of;
	uint32_t first, last; /* of those who have them, the owner included */
	uint32_t n;           /* how many these are */
	uint64_t start, end;
};

struct spread {
	struct spread_cell *v; /* by task and address */
	size_t n, cap;
};

/**
 * spread_new() - from all aliases of an image
 * @v: is sorted
 * @ret: released with spread_done(), also on failure
 * Return: 0; -ENOMEM
 */
int spread_new(struct spread_use *v, size_t n, struct spread *ret);
void spread_done(struct spread *s);

/**
 * spread_at() - who has the page that @of has at an address
 * @end: lowered to where that ceases to hold
 * Return: NULL: nobody else
 */
const struct spread_cell *spread_at(const struct spread *s, pid_t of, uint64_t at, uint64_t *end);

#endif
