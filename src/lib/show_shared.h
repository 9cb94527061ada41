/*
 * show_shared.h - which pages several processes of an image have, where it has them once.
 */
#ifndef CKPT_LIB_SHOW_SHARED_H
#define CKPT_LIB_SHOW_SHARED_H

#include "lib/load.h"
#include "model/page_map.h"

struct shared_pages {
	struct page_map owned; /* what others have of a task; by task and address */
	uint64_t alias_bytes;  /* what the image would have more, were each task's its own */
};

/** shared_new() - of a whole image. @ret: released with shared_done(), also on failure. 0; -ENOMEM */
int shared_new(const struct loaded *l, struct shared_pages *ret);
void shared_done(struct shared_pages *s);

/** shared_bytes() - Return: bytes of a task in [start, end) that another one has as well */
uint64_t shared_bytes(const struct shared_pages *s, const struct loaded *l, uint64_t pid,
	uint64_t start, uint64_t end);

#endif
