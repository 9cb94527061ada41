/*
 * page_records.h - the Pages records of a dump: what was written where, and what is saved with another task.
 */
#ifndef CKPT_DUMP_PAGE_RECORDS_H
#define CKPT_DUMP_PAGE_RECORDS_H

#include "dump/cut.h"

/* Pages of one want that stand one behind the other, in memory as in a page file. */
struct run {
	uint32_t want, shard;
	uint64_t start, pages, offset, hash;
};

/**
 * page_records_add() - put the runs of all wants into the model, one record per owner, tasks in their order
 * @own: what was written; gets sorted
 * @shared: pages that an earlier task has; those of them that it has not in @own either, as they are all
 *	zeros, are nobody's
 * Return: 0; negative after op_fail()
 */
int page_records_add(struct collect_tree *t, struct run *own, size_t n, const struct piece *shared,
	size_t n_shared);

#endif
