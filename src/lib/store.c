/*
 * store.c - ckpt_list(), ckpt_remove(), ckpt_gc(): the checkpoints that are kept by their crid.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "core/op.h"
#include "image/image.h"

static int list(struct ckpt_op *op, struct ckpt_list_result *ret)
{
	struct store_entry *v = NULL;
	size_t n = 0;
	int r = image_store_list(op, &v, &n);

	if (r < 0)
		return r;
	*ret = (struct ckpt_list_result){.items = calloc(n ? n : 1, sizeof(*ret->items)), .n = n};
	for (size_t i = 0; ret->items && i < n; i++) {
		ret->items[i] = (struct ckpt_list_item){.crid = v[i].crid,
			.parent_crid = v[i].parent,
			.created_ns = v[i].created_ns,
			.bytes = v[i].bytes,
			.pid = v[i].pid,
			.program = v[i].program,
			.tasks = v[i].tasks,
			.threads = v[i].threads,
			.damaged = !v[i].whole};
		v[i].program = NULL;
		ret->total_bytes += v[i].bytes;
	}
	store_entries_done(v, n);
	return ret->items ? 0 : op_fail_errno(op, ENOMEM, NULL, "the store");
}

int ckpt_list(const struct ckpt_list_req *req, struct ckpt_list_result *ret, struct ckpt_error *err)
{
	struct ckpt_list_result result;
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = list(&op, &result);
	op_done(&op, err);
	if (r < 0)
		return -1;
	*ret = result;
	return 0;
}

void ckpt_list_result_done(struct ckpt_list_result *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].program);
	free(r->items);
	*r = (struct ckpt_list_result){0};
}

/* One that needs it; NULL: none does. */
static const struct ckpt_list_item *child_of(const struct ckpt_list_result *l, uint64_t crid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].parent_crid == crid)
			return &l->items[i];
	return NULL;
}

int ckpt_remove(const struct ckpt_remove_req *req, struct ckpt_error *err)
{
	const struct ckpt_list_item *child;
	struct ckpt_list_result all = {0};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = list(&op, &all);
	child = r == 0 ? child_of(&all, req->crid) : NULL;
	if (child)
		r = op_fail(&op, CKPT_E_CONFLICT, 0, NULL, "remove that one first",
			"checkpoint %llu is needed by %llu", (unsigned long long)req->crid,
			(unsigned long long)child->crid);
	if (r == 0)
		r = image_store_remove(&op, req->crid);
	ckpt_list_result_done(&all);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}

/* How many newer ones of the same program there are. */
static size_t newer_than(const struct ckpt_list_result *l, size_t i)
{
	const struct ckpt_list_item *e = &l->items[i];
	size_t n = 0;

	for (size_t k = i + 1; k < l->n; k++)
		n += l->items[k].pid == e->pid && e->program && l->items[k].program &&
		     strcmp(l->items[k].program, e->program) == 0;
	return n;
}

static int take_out(
	struct ckpt_op *op, struct ckpt_list_result *l, size_t i, struct ckpt_gc_result *ret)
{
	int r = image_store_remove(op, l->items[i].crid);

	if (r < 0)
		return r;
	ret->removed++;
	ret->removed_bytes += l->items[i].bytes;
	l->total_bytes -= l->items[i].bytes;
	free(l->items[i].program);
	memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof(*l->items));
	l->n--;
	return 0;
}

/* A damaged one is somebody's to look at. Newest first, so that a chain goes from its end. */
static int drop_old(
	struct ckpt_op *op, struct ckpt_list_result *l, uint64_t keep, struct ckpt_gc_result *ret)
{
	int r = 0;

	for (size_t i = l->n; r == 0 && i-- > 0;)
		if (!l->items[i].damaged && newer_than(l, i) >= keep &&
			!child_of(l, l->items[i].crid))
			r = take_out(op, l, i, ret);
	return r;
}

static int drop_much(
	struct ckpt_op *op, struct ckpt_list_result *l, uint64_t quota, struct ckpt_gc_result *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n && l->total_bytes > quota;) {
		if (l->items[i].damaged || child_of(l, l->items[i].crid)) {
			i++;
			continue;
		}
		r = take_out(op, l, i, ret);
		i = 0; /* its parent may go now */
	}
	return r;
}

int ckpt_gc(const struct ckpt_gc_req *req, struct ckpt_gc_result *ret, struct ckpt_error *err)
{
	struct ckpt_gc_result result = {0};
	struct ckpt_list_result all = {0};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = list(&op, &all);
	if (r == 0 && req->keep)
		r = drop_old(&op, &all, req->keep, &result);
	if (r == 0 && req->quota)
		r = drop_much(&op, &all, req->quota, &result);
	result.left = all.n;
	result.left_bytes = all.total_bytes;
	ckpt_list_result_done(&all);
	op_done(&op, err);
	if (r < 0)
		return -1;
	*ret = result;
	return 0;
}
