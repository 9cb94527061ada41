/*
 * diff.h - what differs between two models, and between two images' memory.
 *
 * By descriptors: a new resource needs nothing here. Each difference is one item, which reads
 *	mm 12 vmas[3].flags: 115 -> 112
 */
#ifndef CKPT_MODEL_DIFF_H
#define CKPT_MODEL_DIFF_H

#include <stdbool.h>

#include "core/op.h"
#include "image/image.h"
#include "model/model.h"

/* One difference. All strings are valid during the call only. */
struct diff_item {
	const char *tag; /* of the record */
	uint64_t owner;
	const char *path;  /* of the field, "" for the whole record; of memory, an address range */
	const char *a, *b; /* as text; NULL where that side has nothing */
};

/** What is done with an item. @arg: the caller's */
typedef void diff_fn(void *arg, const struct diff_item *item);

/**
 * diff_models() - compare record by record, field by field
 * Records are the same where type and owner are; repeated fields are compared index by index.
 * Fields that a type calls volatile are passed over: a name there is that of a field of the
 * record's message, or a dotted path to one further inside ("vmas.rss_pages").
 * Numbers of 64 bits are told in hexadecimal from 2^32 on, as they are mostly addresses then. For
 * long bytes of equal length the path tells where they first differ ("xstate@0x200").
 * Where contents are in the page files is not compared; diff_pages() compares what is there.
 * @ret_n: number of differences
 * Return: 0, whether there are differences or not; -ENOMEM.
 */
int diff_models(
	const struct model *a, const struct model *b, diff_fn *fn, void *arg, size_t *ret_n);

struct diff_pages_req {
	const struct image *img_a, *img_b;
	const struct model *a, *b; /* of these images */
	bool zero_is_absent; /* a page of zeros is the same as no page: true of anonymous memory */
	diff_fn *fn;
	void *arg;
};

/**
 * diff_pages() - compare the contents of all records that have runs of pages, address by address
 * Where contents are stored does not matter, nor how they are cut into runs. Neighbouring pages
 * that differ in the same way are one item: its path is the address range, a and b are one of
 * "contents", "zeros", or NULL for a page that is not there.
 * @ret_n: number of differences
 * Return: 0, whether there are differences or not; negative after op_fail().
 */
int diff_pages(struct ckpt_op *op, const struct diff_pages_req *req, size_t *ret_n);

/** diff_text() - Return: the item as one line without newline, caller frees; NULL: out of memory */
char *diff_text(const struct diff_item *item);

#endif
