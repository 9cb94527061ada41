/*
 * verify.h - every checksum, length and reference of an image.
 */
#ifndef CKPT_MODEL_VERIFY_H
#define CKPT_MODEL_VERIFY_H

#include "core/op.h"
#include "image/image.h"
#include "model/model.h"

struct verify_result {
	uint64_t records;
	uint64_t runs;       /* of pages, those of zeros included */
	uint64_t page_bytes; /* read and compared with their checksums */
};

/**
 * image_verify() - check what image_open() did not
 * That every record is known, can be unpacked and is the only one of its owner; that the runs of
 * pages are in order (pages_check()); that the contents of each have its checksum.
 * @types:  the types that this build knows, NULL-terminated
 * @ret:    may be NULL; untouched on failure
 * Return: 0; negative after op_fail().
 */
int image_verify(struct ckpt_op *op, const struct image *img, const struct model_type *const *types,
	struct verify_result *ret);

#endif
