/*
 * dump.c - ckpt_dump().
 */
#include "dump/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "dump/enter.h"
#include "image/image.h"
#include "lib/store.h"

/* One that is done in the namespaces of its target. */
struct entered {
	struct ckpt_op *op;
	const struct ckpt_dump_req *req;
	struct ckpt_dump_result *result;
};

static void dump_inside(void *arg, struct proxy *p, pid_t pid)
{
	struct entered *d = arg;
	struct ckpt_dump_req req = *d->req;

	req.pid = pid;
	dump_run(d->op, &req, d->result);
	proxy_end(p, d->result, sizeof(*d->result), (const char *[WIRE_STRINGS]){d->result->dir});
}

static int take_dump(void *arg, const struct wire_msg *m)
{
	struct entered *d = arg;
	const char *strings[WIRE_STRINGS];

	if (wire_record(m, d->result, sizeof(*d->result), strings) < 0 || !strings[0])
		return op_fail(d->op, CKPT_E_SYSTEM, EBADMSG, NULL, NULL, "the result of the dump");
	d->result->dir = strdup(strings[0]);
	return d->result->dir ? 0 : op_fail_errno(d->op, ENOMEM, NULL, "the result");
}

static int dump_entered(
	struct ckpt_op *op, const struct ckpt_dump_req *req, struct ckpt_dump_result *result)
{
	struct entered d = {op, req, result};
	char *store = NULL;
	int r = req->dir ? 0 : image_store_dir(op, 1, &store);

	if (r == 0)
		r = enter_run(&(struct enter){.op = op,
			.pid = req->pid,
			.path = req->dir ? req->dir : store,
			.inside = dump_inside,
			.take = take_dump,
			.arg = &d});
	free(store);
	return r;
}

int ckpt_dump(const struct ckpt_dump_req *req, struct ckpt_dump_result *ret, struct ckpt_error *err)
{
	struct ckpt_dump_result result = {0};
	uint64_t quota = 0;
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = req->dir ? 0 : store_admits(&op, req->pid, &quota);
	if (r == 0)
		r = enter_wanted(req->pid) ? dump_entered(&op, req, &result)
					   : dump_run(&op, req, &result);
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
