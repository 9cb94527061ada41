/*
 * dump.c - ckpt_dump().
 */
#include "dump/dump.h"

#include <stdlib.h>

#include "ckpt.h"
#include "lib/store.h"

int ckpt_dump(const struct ckpt_dump_req *req, struct ckpt_dump_result *ret, struct ckpt_error *err)
{
	struct ckpt_dump_result result = {0};
	uint64_t quota = 0;
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = req->dir ? 0 : store_admits(&op, req->pid, &quota);
	if (r == 0)
		r = dump_run(&op, req, &result);
	if (r == 0)
		store_keep_to(&op, quota, result.crid);
	op_done(&op, err);
	if (r < 0) {
		ckpt_dump_result_done(&result);
		return -1;
	}
	*ret = result;
	return 0;
}

void ckpt_dump_result_done(struct ckpt_dump_result *r)
{
	free(r->dir);
	*r = (struct ckpt_dump_result){0};
}
