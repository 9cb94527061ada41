/*
 * chunks.h - what is to be saved, cut into pieces of work, by those who do the work.
 *
 * Finding the pages means reading the page tables of every process, some 8 ms per GiB. So it is done
 * window by window, by whoever finds no chunk to take: the first pages are saved while others are still
 * being found, and none waits for the one who finds them.
 */
#ifndef CKPT_DUMP_CHUNKS_H
#define CKPT_DUMP_CHUNKS_H

#include "dump/cut.h"

#define CHUNK_BYTES      (512UL * 1024) /* so much stays in the cache of a CPU */
#define CHUNK_RANGES_MAX 512

struct range {
	uint64_t start, len; /* bytes */
	uint32_t want;
	bool common; /* see struct piece */
};

/* Ranges of one process's memory, or of one file. */
struct chunk {
	const struct collect *of; /* of its wants */
	int fd;                   /* likewise */
	uint32_t n;
	uint64_t bytes;
	struct range v[CHUNK_RANGES_MAX];
};

struct chunks;

/**
 * chunks_new() - all wants of the tree, which get sorted
 * @words: of each task, borrowed
 * Return: chunks_free() it; NULL when memory ran out
 */
struct chunks *chunks_new(struct collect_tree *t, const struct kernel_words *words);

/**
 * chunks_take() - the next chunk; finds it, or waits for who does. From any thread.
 * @k: of this thread, see chunks_cutter()
 * Return: true; false when nothing is left, or after chunks_stop()
 */
bool chunks_take(struct chunks *q, struct cutter *k, struct chunk *ret);

/** chunks_cutter() - what a thread needs to find chunks; ended with cutter_done() */
struct cutter chunks_cutter(const struct chunks *q);

/** chunks_stop() - something failed: nothing more is to be taken. From any thread. */
void chunks_stop(struct chunks *q);

/**
 * chunks_shared() - when all is taken: the pages that are saved with an earlier task
 * @ret: borrowed, in no order
 * Return: how many pieces; negative after op_fail(): finding pages failed
 */
ssize_t chunks_shared(const struct chunks *q, const struct piece **ret);

void chunks_free(struct chunks *q);

#endif
