/*
 * pages.h - the contents stage of a dump: memory and file contents into the page files.
 */
#ifndef CKPT_DUMP_PAGES_H
#define CKPT_DUMP_PAGES_H

#include "image/image.h"
#include "res/res.h"

/**
 * pages_dump() - save everything that was asked for with collect_want_take()
 * One worker per page file copies chunks: process_vm_readv into a buffer that stays in the cache,
 * hash, write. Pages that hold only zeros are left out. A Pages record per owner goes into the model.
 * @workers: page files of w, at least 1
 * @ret_bytes: contents written
 * Return: 0; negative after op_fail().
 */
int pages_dump(
	struct collect_tree *t, struct image_writer *w, unsigned workers, uint64_t *ret_bytes);

#endif
