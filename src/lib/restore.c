/*
 * restore.c - ckpt_restore(), ckpt_plan().
 */
#include "restore/restore.h"

#include <stdlib.h>

#include "ckpt.h"

int ckpt_restore(
	const struct ckpt_restore_req *req, struct ckpt_restore_result *ret, struct ckpt_error *err)
{
	struct ckpt_restore_result result = {0};
	struct become become = {0};
	struct ckpt_op op;
	int r, status;

	op_init(&op, &req->common);
	r = restore_run(&op, req, &result, &become);
	status = op.first.kind;
	op_done(&op, err);
	if (become.coordinator)
		become_end(&become, status);
	if (r < 0) {
		ckpt_restore_result_done(&result);
		return -1;
	}
	*ret = result;
	return 0;
}

void ckpt_restore_result_done(struct ckpt_restore_result *r)
{
	free(r->pids);
	r->pids = NULL;
	r->n_pids = 0;
}

int ckpt_plan(const struct ckpt_restore_req *req, FILE *out, struct ckpt_error *err)
{
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = restore_plan(&op, req, out);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}
