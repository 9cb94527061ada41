/*
 * explain.c - ckpt_explain(): the look before a dump, as a result of its own.
 */
#include "ckpt.h"

#include "core/op.h"
#include "dump/preflight.h"

int ckpt_explain(
	const struct ckpt_explain_req *req, struct ckpt_explain_result *ret, struct ckpt_error *err)
{
	struct preflight_report report = {};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	if (req->pid <= 0)
		r = op_fail(&op, CKPT_E_USAGE, 0, NULL, NULL, "pid %d is no process", req->pid);
	else
		r = preflight_deep(&op, req->pid, &report);
	op_done(&op, err);
	if (r < 0) {
		preflight_done(&report);
		return -1;
	}
	*ret = report.r;
	return 0;
}
