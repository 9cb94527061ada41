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

/** pages_run_end() - Return: the address behind a run; likewise */
static inline uint64_t pages_run_end(const Ckpt__PageRun *run)
{
	return run->start + pages_run_bytes(run);
}

/** pages_find() - Return: the first of some runs, in order, that ends behind an address; @n: none does */
size_t pages_find(Ckpt__PageRun *const *runs, size_t n, uint64_t address);

/**
 * pages_resolve() - who has the page of a run: itself, or of an alias the run of the other task
 * @rec: of @run
 * @address: a page of @run
 * Return: a run, no alias, that covers @address, but perhaps not all of @run; NULL: an alias that leads to
 * nothing, or to a record that does not stand before @rec.
 */
const Ckpt__PageRun *pages_resolve(const struct model *m, const struct model_rec *rec,
	const Ckpt__PageRun *run, uint64_t address);

/**
 * pages_check() - whether a record's runs can be relied on
 * They are sorted by address, do not overlap, begin and end on page boundaries within 64 bits, and
 * lie within page files that are there; aliases lead to runs of an earlier record that are none. The
 * contents are not looked at. A record without runs is fine.
 * @m: of the record. Records that stand before it must have been checked.
 * Return: 0; negative after op_fail(CKPT_E_IMAGE).
 */
int pages_check(struct ckpt_op *op, const struct image *img, const struct model *m,
	const struct model_rec *rec);

#endif
