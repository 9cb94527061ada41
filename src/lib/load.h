/*
 * load.h - an image that is open, and its model: what show and diff begin with.
 */
#ifndef CKPT_LIB_LOAD_H
#define CKPT_LIB_LOAD_H

#include "core/op.h"
#include "image/image.h"
#include "model/model.h"

struct loaded {
	struct image *img;
	struct model model;
};

/**
 * load_image() - open an image by directory or by crid
 * @dir:   NULL: look in the store for @crid
 * @ret:   caller closes with image_close()
 * Return: 0; negative after op_fail()
 */
int load_image(struct ckpt_op *op, const char *dir, uint64_t crid, struct image **ret);

/**
 * load_open() - open an image and read all of its records
 * @ret:  caller frees with load_close(), also after a failure
 * Return: 0; negative after op_fail()
 */
int load_open(struct ckpt_op *op, const char *dir, uint64_t crid, struct loaded *ret);

/** load_close() - free what load_open() made; it may be all zero */
void load_close(struct loaded *l);

/** load_type() - the record type of a name. Return: NULL when no resource has it */
const struct model_type *load_type(const char *name);

#endif
