/*
 * store.h - a model into an image, and back.
 *
 * Generic by descriptors: a record's tag is its type's name, its payload the packed message.
 */
#ifndef CKPT_MODEL_STORE_H
#define CKPT_MODEL_STORE_H

#include "core/op.h"
#include "image/image.h"
#include "model/model.h"

/**
 * model_save() - append every record of a model, in the order of addition
 * Return: 0; negative after op_fail(), some records may have been appended.
 */
int model_save(struct ckpt_op *op, const struct model *m, struct image_writer *w);

/**
 * model_load() - read every record of an image into a model
 * A record or a field that this build does not know is refused: a restore that passes over it
 * would silently lose a part of the program.
 * @types:  the types that this build knows, NULL-terminated
 * @m:      initialised; what was added before a failure stays, for model_done()
 * Return: 0; negative after op_fail() naming file, record and tag.
 */
int model_load(struct ckpt_op *op, const struct image *img, const struct model_type *const *types,
	struct model *m);

#endif
