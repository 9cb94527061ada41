/*
 * show.c - ckpt_show(): what is in an image, as text for people or as JSON.
 */
#include "lib/show.h"

#include <errno.h>

#include "model/dump_json.h"

/* Everything, by reflection: a new resource appears here by itself. */
static int show_json(
	struct ckpt_op *op, const struct loaded *l, const struct shared_pages *shared, FILE *out)
{
	json_t *manifest = json_of_msg((const ProtobufCMessage *)image_manifest(l->img));
	json_t *records = json_of_model(&l->model);
	json_t *regs = show_regs_json(l);
	json_t *root = manifest && records && regs
			       ? json_pack("{s:O, s:{s:I, s:I}, s:O, s:O}", "manifest", manifest,
					 "shared_pages", "stored_bytes",
					 (json_int_t)page_map_bytes(&shared->owned), "saved_bytes",
					 (json_int_t)shared->alias_bytes, "registers", regs,
					 "records", records)
			       : NULL;
	int r = 0;

	if (!root || json_dumpf(root, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF)
		r = op_fail(op, CKPT_E_SPACE, 0, NULL, NULL, "image %s: no memory for its JSON",
			image_dir(l->img));
	json_decref(manifest);
	json_decref(records);
	json_decref(regs);
	json_decref(root);
	return r;
}

int ckpt_show(const struct ckpt_show_req *req, FILE *out, struct ckpt_error *err)
{
	struct shared_pages shared = {};
	struct loaded l = {};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = load_open(&op, req->dir, req->crid, &l);
	if (!r && shared_new(&l, &shared) < 0)
		r = op_fail(&op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the pages that tasks share");
	if (!r && req->json)
		r = show_json(&op, &l, &shared, out);
	else if (!r)
		show_text(&l, &shared, req->common.log_level >= CKPT_LOG_INFO, out);
	shared_done(&shared);
	load_close(&l);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}
