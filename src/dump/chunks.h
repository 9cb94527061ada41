/*
 * chunks.h - what is to be saved, cut into pieces of work: one thread cuts, the workers take.
 *
 * Cutting reads the page tables of every process, some 8 ms per GiB. The workers begin with the
 * first pieces while the rest is still being found.
 */
#ifndef CKPT_DUMP_CHUNKS_H
#define CKPT_DUMP_CHUNKS_H

#include <pthread.h>

#include "res/res.h"

#define CHUNK_BYTES      (512UL * 1024) /* so much stays in the cache of a CPU */
#define CHUNK_RANGES_MAX 512

struct range {
	uint64_t start, len; /* bytes */
	uint32_t want;
};

/* Ranges of one process's memory, or of one file. */
struct chunk {
	const struct collect *of; /* of its wants */
	int fd;                   /* likewise */
	uint32_t n;
	uint64_t bytes;
	uint64_t done,
		total; /* bytes cut before it, and at all; total is 0 while that is unknown */
	struct range v[CHUNK_RANGES_MAX];
};

struct chunks;

/** chunks_new() - an empty queue. Return: chunks_free() it; NULL when memory ran out */
struct chunks *chunks_new(struct collect_tree *t);

/**
 * chunks_cut() - cut all wants of the tree, which are sorted; what is ready can be taken at once
 * Afterwards the queue is closed: chunks_take() no more waits. Call it once.
 * Return: 0; negative after op_fail(), and nothing more can be taken.
 */
int chunks_cut(struct chunks *q);

/**
 * chunks_take() - the next chunk; waits for it while the queue is open. From any thread.
 * Return: true; false when nothing is left, or after chunks_stop()
 */
bool chunks_take(struct chunks *q, struct chunk *ret);

/** chunks_stop() - something failed: nothing more is to be taken. From any thread. */
void chunks_stop(struct chunks *q);

void chunks_free(struct chunks *q);

#endif
