/*
 * explain.c - ckpt_explain(): the look before a dump, as a result of its own.
 */
#include "ckpt.h"

#include <errno.h>
#include <string.h>

#include "core/op.h"
#include "dump/enter.h"
#include "dump/preflight.h"
#include "res/file/fdpolicy.h"
#include "util/vec.h"

static int look(struct ckpt_op *op, const struct ckpt_explain_req *req, pid_t pid,
	struct preflight_report *report)
{
	struct fdpolicy policy = {};
	int r = fdpolicy_read(op, req->fds, req->resources, req->policy, &policy);

	policy.unix_outside = req->unix_outside;
	policy.tcp = req->tcp;
	if (r == 0)
		r = preflight_deep(op, pid, &policy, report);
	fdpolicy_done(&policy);
	return r;
}

/* ---- in the namespaces of the target ---- */

enum { SAY_ITEM = WIRE_OWN };

struct entered {
	struct ckpt_op *op;
	const struct ckpt_explain_req *req;
	struct preflight_report *report;
};

/* What is static is where it is in both processes, one being a fork of the other. */
static void look_inside(void *arg, struct proxy *p, pid_t pid)
{
	struct entered *e = arg;
	struct ckpt_explain_result *r = &e->report->r;
	struct wire_msg m = {.head = {.kind = SAY_ITEM}, .fd = -EBADF};
	int failed = look(e->op, e->req, pid, e->report);

	for (size_t i = 0; failed == 0 && i < r->n; i++)
		failed = wire_send_record(p->wire[1], &m, &r->items[i], sizeof(r->items[i]),
			(const char *[WIRE_STRINGS]){r->items[i].object, r->items[i].option});
	r->pid = e->req->pid;
	proxy_end(p, r, sizeof(*r), (const char *[WIRE_STRINGS]){r->comm});
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static int take_item(struct entered *e, const struct wire_msg *m)
{
	struct ckpt_explain_result *r = &e->report->r;
	struct ckpt_explain_item *item;
	const char *strings[WIRE_STRINGS];

	if (vec_reserve(&r->items, &e->report->cap, r->n + 1, sizeof(*r->items)) < 0)
		return op_fail_errno(e->op, ENOMEM, NULL, "the result");
	item = &r->items[r->n];
	if (wire_record(m, item, sizeof(*item), strings) < 0)
		return op_fail(e->op, CKPT_E_SYSTEM, EBADMSG, NULL, NULL, "the result");
	item->object = copy(strings[0]);
	item->option = copy(strings[1]);
	r->n++;
	return 0;
}

static int take(void *arg, const struct wire_msg *m)
{
	struct entered *e = arg;
	struct ckpt_explain_result *r = &e->report->r, got;
	const char *strings[WIRE_STRINGS];

	if (m->head.kind == SAY_ITEM)
		return take_item(e, m);
	if (wire_record(m, &got, sizeof(got), strings) < 0)
		return op_fail(e->op, CKPT_E_SYSTEM, EBADMSG, NULL, NULL, "the result");
	got.items = r->items;
	got.n = r->n;
	got.comm = copy(strings[0]);
	*r = got;
	return 0;
}

static int look_entered(
	struct ckpt_op *op, const struct ckpt_explain_req *req, struct preflight_report *report)
{
	struct entered e = {op, req, report};

	return enter_run(&(struct enter){
		.op = op, .pid = req->pid, .inside = look_inside, .take = take, .arg = &e});
}

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
		r = enter_wanted(req->pid) ? look_entered(&op, req, &report)
					   : look(&op, req, req->pid, &report);
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
