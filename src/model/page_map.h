/*
 * page_map.h - stretches of an address space, and whose contents the pages there have.
 *
 * What several tasks have at an address is compared by walking over all their maps at once: of each, who is
 * there and how far that holds.
 */
#ifndef CKPT_MODEL_PAGE_MAP_H
#define CKPT_MODEL_PAGE_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGES_OF_NOBODY 0 /* no page */

struct page_span {
	uint64_t start, end;
	pid_t of; /* the task whose contents these are, at the same addresses; or a mark */
};

/* Ascending, not overlapping; neighbours that touch are of different tasks. Zeroed at first. */
struct page_map {
	struct page_span *v;
	size_t n, cap;
};

/** page_map_add() - append behind all that is there; nothing where empty or of nobody. 0; -ENOMEM */
int page_map_add(struct page_map *m, uint64_t start, uint64_t end, pid_t of);
void page_map_done(struct page_map *m);

/** page_map_bytes() - Return: bytes in all stretches */
uint64_t page_map_bytes(const struct page_map *m);

/* Walks a map by address; zeroed but for its map, which may be NULL: an empty one. */
struct page_walk {
	const struct page_map *map;
	size_t at;
};

/**
 * page_walk_look() - whose pages are at an address
 * @at: not below that of the call before
 * @end: lowered to where the answer ceases to hold
 * Return: a task; PAGES_OF_NOBODY
 */
pid_t page_walk_look(struct page_walk *w, uint64_t at, uint64_t *end);

#endif
