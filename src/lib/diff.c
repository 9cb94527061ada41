/*
 * diff.c - ckpt_diff(): what differs between two images, as lines or as JSON.
 */
#include "model/diff.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "lib/load.h"
#include "model/dump_json.h"
#include "util/cleanup.h"

struct diff_out {
	FILE *out;
	json_t *items; /* NULL: print lines */
	bool no_memory;
};

static json_t *side_json(const char *s)
{
	return s ? json_of_str(s) : json_null();
}

static void print_item(void *arg, const struct diff_item *item)
{
	struct diff_out *d = arg;
	_cleanup_free_ char *line = NULL;
	json_t *o;

	if (!d->items) {
		line = diff_text(item);
		if (!line || fprintf(d->out, "%s\n", line) < 0)
			d->no_memory = true;
		return;
	}
	o = json_pack("{s:o, s:o, s:o, s:o, s:o}", "resource", json_of_str(item->tag), "owner",
		json_of_u64(item->owner), "path", json_of_str(item->path), "a", side_json(item->a),
		"b", side_json(item->b));
	if (!o || json_array_append_new(d->items, o) < 0)
		d->no_memory = true;
}

/* The records, then what is in the page files, where a page of zeros is as good as none: in memory
 * as in the hole of a file. */
static int compare(struct ckpt_op *op, const struct loaded *a, const struct loaded *b,
	struct diff_out *d, size_t *ret_n)
{
	struct diff_pages_req pages = {
		.img_a = a->img,
		.img_b = b->img,
		.a = &a->model,
		.b = &b->model,
		.zero_is_absent = true,
		.fn = print_item,
		.arg = d,
	};
	size_t n = 0;
	int r = diff_models(&a->model, &b->model, print_item, d, ret_n);

	if (r < 0)
		return op_fail(
			op, CKPT_E_SPACE, -r, "compare", NULL, "image %s", image_dir(a->img));
	r = diff_pages(op, &pages, &n);
	*ret_n += n;
	return r;
}

static int finish(struct ckpt_op *op, struct diff_out *d)
{
	json_t *root = d->items ? json_pack("{s:O}", "differences", d->items) : NULL;

	if (root && (json_dumpf(root, d->out, JSON_INDENT(2)) < 0 || fputc('\n', d->out) == EOF))
		d->no_memory = true;
	json_decref(root);
	if (d->no_memory || ferror(d->out))
		return op_fail(op, CKPT_E_SPACE, ENOMEM, "print the differences", NULL, "diff");
	return 0;
}

int ckpt_diff(
	const struct ckpt_diff_req *req, FILE *out, size_t *ret_differences, struct ckpt_error *err)
{
	struct loaded a = {}, b = {};
	struct diff_out d = {.out = out, .items = req->json ? json_array() : NULL};
	struct ckpt_op op;
	size_t n = 0;
	int r;

	op_init(&op, &req->common);
	r = load_open(&op, req->dir_a, req->crid_a, &a);
	if (!r)
		r = load_open(&op, req->dir_b, req->crid_b, &b);
	if (!r)
		r = compare(&op, &a, &b, &d, &n);
	if (!r)
		r = finish(&op, &d);
	if (!r)
		*ret_differences = n;
	json_decref(d.items);
	load_close(&a);
	load_close(&b);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}
