/*
 * verify.c - ckpt_verify(): whether an image is whole.
 */
#include "model/verify.h"

#include "lib/load.h"
#include "proto/core.pb-c.h"
#include "res/registry.h"
#include "util/clock.h"

int ckpt_verify(
	const struct ckpt_verify_req *req, struct ckpt_verify_result *ret, struct ckpt_error *err)
{
	struct verify_result found = {};
	struct image *img = NULL;
	struct ckpt_op op;
	uint64_t start = now_ns();
	int r;

	op_init(&op, &req->common);
	r = load_image(&op, req->dir, req->crid, &img);
	if (!r)
		r = image_verify(&op, img, res_types(), &found);
	if (!r)
		*ret = (struct ckpt_verify_result){
			.crid = image_manifest(img)->crid,
			.records = found.records,
			.page_bytes = found.page_bytes,
			.total_ns = now_ns() - start,
		};
	image_close(img);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}
