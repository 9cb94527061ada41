/*
 * store.c - a model into an image, and back: see store.h.
 */
#include "model/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/reflect.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

int model_save(struct ckpt_op *op, const struct model *m, struct image_writer *w)
{
	_cleanup_free_ uint8_t *buf = NULL;
	size_t cap = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct model_rec *rec = &m->recs[i];
		size_t len = protobuf_c_message_get_packed_size(rec->msg);
		int r;

		if (vec_reserve(&buf, &cap, len, 1) < 0)
			return op_fail_errno(op, ENOMEM, NULL, "record '%s' of %" PRIu64,
				rec->type->name, rec->owner);
		protobuf_c_message_pack(rec->msg, buf);
		r = image_add(op, w, rec->type->name, rec->owner, buf, len);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where the search for a type begins: records of one kind, or of one task, follow each other. */
struct cursor {
	const struct model_type *const *types;
	size_t n, last;
};

static const struct model_type *type_find(struct cursor *c, const char *tag)
{
	for (size_t i = 0; i < c->n; i++) {
		size_t k = (c->last + i) % c->n;

		if (str_eq(c->types[k]->name, tag)) {
			c->last = k;
			return c->types[k];
		}
	}
	return NULL;
}

/* Which record it is about, and what is wrong with it. */
static int refuse(struct ckpt_op *op, const struct image *img, size_t n,
	const struct image_rec *rec, const char *why)
{
	return op_fail(op, CKPT_E_IMAGE, EBADMSG, NULL, NULL,
		"image %s: %s: record %zu '%s' of %" PRIu64 ": %s", image_dir(img),
		image_records_name(img), n, rec->tag, rec->owner, why);
}

/* A field of @in that this build does not know; @msg, whose part @in is, is freed. */
static int refuse_field(struct ckpt_op *op, const struct image *img, size_t n,
	const struct image_rec *rec, ProtobufCMessage *msg, const ProtobufCMessage *in)
{
	int r = op_fail(op, CKPT_E_IMAGE, ENOTSUP, NULL, "use a newer version of ckpt",
		"image %s: %s: record %zu '%s' of %" PRIu64 ": the image holds a field %" PRIu32
		" of %s that this build does not know",
		image_dir(img), image_records_name(img), n, rec->tag, rec->owner,
		in->unknown_fields[0].tag, in->descriptor->short_name);

	protobuf_c_message_free_unpacked(msg, NULL);
	return r;
}

static int load_one(struct ckpt_op *op, const struct image *img, size_t n,
	const struct image_rec *rec, struct cursor *c, struct model *m)
{
	const struct model_type *type = type_find(c, rec->tag);
	const ProtobufCMessage *in;
	ProtobufCMessage *msg;
	int r;

	if (!type)
		return op_fail(op, CKPT_E_IMAGE, ENOTSUP, NULL, "use a newer version of ckpt",
			"image %s: %s: record %zu: the image holds a resource '%s' that this build "
			"does not know",
			image_dir(img), image_records_name(img), n, rec->tag);
	msg = protobuf_c_message_unpack(type->desc, NULL, rec->len, rec->payload);
	if (!msg)
		return refuse(op, img, n, rec, "its fields are damaged");
	in = reflect_unknown(msg);
	if (in)
		return refuse_field(op, img, n, rec, msg, in);
	r = model_add_take(m, type, rec->owner, msg);
	if (r == -EEXIST)
		return refuse(op, img, n, rec, "there are two of them");
	return r < 0 ? refuse(op, img, n, rec, strerror(-r)) : 0;
}

int model_load(struct ckpt_op *op, const struct image *img, const struct model_type *const *types,
	struct model *m)
{
	struct cursor c = {.types = types};
	struct image_rec rec;
	size_t pos = 0;
	int r = 0;

	while (types[c.n])
		c.n++;
	for (size_t n = 0; r == 0 && image_next(img, &pos, &rec); n++)
		r = load_one(op, img, n, &rec, &c, m);
	return r;
}
