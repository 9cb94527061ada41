/*
 * show.c - ckpt_show(): what is in an image, as text for people or as JSON.
 */
#include "lib/show.h"

#include "model/dump_json.h"

/* Everything, by reflection: a new resource appears here by itself. */
static int show_json(struct ckpt_op *op, const struct loaded *l, FILE *out)
{
	json_t *manifest = json_of_msg((const ProtobufCMessage *)image_manifest(l->img));
	json_t *records = json_of_model(&l->model);
	json_t *regs = show_regs_json(l);
	json_t *root = manifest && records && regs
			       ? json_pack("{s:O, s:O, s:O}", "manifest", manifest, "registers",
					 regs, "records", records)
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
	struct loaded l = {};
	struct ckpt_op op;
	int r;

	op_init(&op, &req->common);
	r = load_open(&op, req->dir, req->crid, &l);
	if (!r && req->json)
		r = show_json(&op, &l, out);
	else if (!r)
		show_text(&l, req->common.log_level >= CKPT_LOG_INFO, out);
	load_close(&l);
	op_done(&op, err);
	return r < 0 ? -1 : 0;
}
