/*
 * explain.c - ckpt_explain(): the look before a dump, as a result of its own.
 */
#include "ckpt.h"

#include "core/op.h"
#include "dump/preflight.h"
#include "res/file/fdpolicy.h"

int ckpt_explain(
	const struct ckpt_explain_req *req, struct ckpt_explain_result *ret, struct ckpt_error *err)
{
	struct preflight_report report = {};
	struct fdpolicy policy = {};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	if (req->pid <= 0)
		r = op_fail(&op, CKPT_E_USAGE, 0, NULL, NULL, "pid %d is no process", req->pid);
	else
		r = fdpolicy_read(&op, req->fds, req->resources, req->policy, &policy);
	policy.unix_outside = req->unix_outside;
	if (r == 0)
		r = preflight_deep(&op, req->pid, &policy, &report);
	fdpolicy_done(&policy);
	op_done(&op, err);
	if (r < 0) {
		preflight_done(&report);
		return -1;
	}
	*ret = report.r;
	report.r = (struct ckpt_explain_result){}; /* that is the caller's now */
	preflight_done(&report);
	return 0;
}
