/*
 * pages.h - the runs of pages in a record, whatever the message around them is called.
 *
 * The message of a resource that has contents in page files (memory, a deleted file) has one
 * repeated field of ckpt.PageRun; it is found by its descriptor, so that this layer needs no
 * resource.
 */
#ifndef CKPT_MODEL_PAGES_H
#define CKPT_MODEL_PAGES_H

#include "core/op.h"
#include "image/image.h"
#include "model/model.h"
#include "proto/core.pb-c.h"

/**
 * pages_runs() - the runs of a message
 * @ret: borrowed from the message; NULL where it has none
 * Return: how many.
 */
size_t pages_runs(const ProtobufCMessage *msg, Ckpt__PageRun *const **ret);

/** pages_field() - Return: whether a field is one of runs */
bool pages_field(const ProtobufCFieldDescriptor *f);

/** pages_run_bytes() - Return: length of a run in bytes; pages_check() made sure that it fits */
static inline uint64_t pages_run_bytes(const Ckpt__PageRun *run)
{
	return run->pages * IMAGE_PAGE_BYTES;
}

/**
 * pages_check() - whether a record's runs can be relied on
 * They are sorted by address, do not overlap, begin and end on page boundaries within 64 bits, and
 * lie within page files that are there. The contents are not looked at. A record without runs is
 * fine.
 * Return: 0; negative after op_fail(CKPT_E_IMAGE).
 */
int pages_check(struct ckpt_op *op, const struct image *img, const struct model_rec *rec);

#endif
