#include "ckpt.h"
int ckpt_restore(
	const struct ckpt_restore_req *req, struct ckpt_restore_result *ret, struct ckpt_error *err)
{
	return -1;
}
int ckpt_plan(const struct ckpt_restore_req *req, FILE *out, struct ckpt_error *err)
{
	return -1;
}
