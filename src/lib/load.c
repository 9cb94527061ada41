/*
 * load.c - open an image and read its model.
 */
#include "lib/load.h"

#include <string.h>

#include "model/store.h"
#include "res/registry.h"
#include "util/cleanup.h"

int load_image(struct ckpt_op *op, const char *dir, uint64_t crid, struct image **ret)
{
	_cleanup_free_ char *found = NULL;

	if (!dir && !crid)
		return op_fail(op, CKPT_E_USAGE, 0, NULL, NULL, "neither directory nor crid");
	if (!dir) {
		int r = image_store_dir(op, crid, &found);

		if (r < 0)
			return r;
		dir = found;
	}
	return image_open(op, dir, ret);
}

int load_open(struct ckpt_op *op, const char *dir, uint64_t crid, struct loaded *ret)
{
	int r;

	ret->img = NULL;
	model_init(&ret->model);
	r = load_image(op, dir, crid, &ret->img);
	return r < 0 ? r : model_load(op, ret->img, res_types(), &ret->model);
}

void load_close(struct loaded *l)
{
	image_close(l->img);
	l->img = NULL;
	model_done(&l->model);
}

const struct model_type *load_type(const char *name)
{
	for (const struct model_type *const *t = res_types(); *t; t++)
		if (!strcmp((*t)->name, name))
			return *t;
	return NULL;
}
