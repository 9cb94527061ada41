/*
 * diff.c - what differs between two models: see diff.h.
 */
#include "model/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "model/pages.h"
#include "model/reflect.h"
#include "util/str.h"
#include "util/vec.h"

#define BYTES_SHOWN 16 /* more are told by the place where they first differ */

struct diff {
	const struct model_rec *rec;
	diff_fn *fn;
	void *arg;
	size_t n;
	int err;
	struct strbuf path;  /* with indices: vmas[3].flags */
	struct strbuf plain; /* without: vmas.flags, as volatile fields are named */
};

static void diff_msg(struct diff *d, const ProtobufCMessage *a, const ProtobufCMessage *b);

char *diff_text(const struct diff_item *i)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	char *text = NULL;

	strbuf_addf(&sb, "%s %" PRIu64, i->tag, i->owner);
	if (*i->path)
		strbuf_addf(&sb, " %s", i->path);
	strbuf_addf(&sb, ": %s -> %s", i->a ? i->a : "absent", i->b ? i->b : "absent");
	return strbuf_take(&sb, &text) < 0 ? NULL : text;
}

static void emit(struct diff *d, const char *a, const char *b)
{
	struct diff_item item = {
		.tag = d->rec->type->name,
		.owner = d->rec->owner,
		.path = d->path.s ? d->path.s : "",
		.a = a,
		.b = b,
	};

	if (d->path.err)
		d->err = d->path.err;
	d->n++;
	d->fn(d->arg, &item);
}

static void cut(struct strbuf *sb, size_t len)
{
	sb->len = len;
	if (sb->s)
		sb->s[len] = 0;
}

static void add_str(struct strbuf *sb, const char *s)
{
	strbuf_addc(sb, '"');
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '"' || *s == '\\')
			strbuf_addf(sb, "\\x%02x", (unsigned char)*s);
		else
			strbuf_addc(sb, *s);
	}
	strbuf_addc(sb, '"');
}

static void add_hex(struct strbuf *sb, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strbuf_addf(sb, "%02x", p[i]);
}

static void add_bytes(struct strbuf *sb, const ProtobufCBinaryData *b)
{
	if (b->len > BYTES_SHOWN)
		strbuf_addf(sb, "%zu bytes ", b->len);
	add_hex(sb, b->data, MIN(b->len, (size_t)BYTES_SHOWN));
	if (b->len > BYTES_SHOWN)
		strbuf_add(sb, "...");
	else if (!b->len)
		strbuf_add(sb, "empty");
}

static void add_number(struct strbuf *sb, ProtobufCType type, const void *value)
{
	uint64_t v = reflect_u64(type, value);

	if (reflect_is_signed(type))
		strbuf_addf(sb, "%" PRId64, (int64_t)v);
	else
		strbuf_addf(sb, v > UINT32_MAX ? "%#" PRIx64 : "%" PRIu64, v);
}

static void add_value(struct strbuf *sb, const ProtobufCFieldDescriptor *f, const void *value)
{
	const char *name;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		add_str(sb, reflect_str(value));
		return;
	case PROTOBUF_C_TYPE_BYTES:
		add_bytes(sb, value);
		return;
	case PROTOBUF_C_TYPE_MESSAGE:
		strbuf_add(sb, "{...}");
		return;
	case PROTOBUF_C_TYPE_BOOL:
		strbuf_add(sb, *(const protobuf_c_boolean *)value ? "true" : "false");
		return;
	case PROTOBUF_C_TYPE_FLOAT:
		strbuf_addf(sb, "%.9g", (double)*(const float *)value);
		return;
	case PROTOBUF_C_TYPE_DOUBLE:
		strbuf_addf(sb, "%.17g", *(const double *)value);
		return;
	case PROTOBUF_C_TYPE_ENUM:
		name = reflect_enum(f, value);
		if (name) {
			strbuf_add(sb, name);
			return;
		}
		break;
	default:
		break;
	}
	add_number(sb, f->type, value);
}

/* Tell two values, either of which may be NULL for none. */
static void emit_values(
	struct diff *d, const ProtobufCFieldDescriptor *f, const void *a, const void *b)
{
	_cleanup_strbuf_ struct strbuf sa = {}, sb = {};

	if (a)
		add_value(&sa, f, a);
	if (b)
		add_value(&sb, f, b);
	if (sa.err || sb.err)
		d->err = -ENOMEM;
	emit(d, sa.s, sb.s);
}

static bool bytes_equal(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

static bool values_equal(const ProtobufCFieldDescriptor *f, const void *a, const void *b)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return str_eq(reflect_str(a), reflect_str(b));
	case PROTOBUF_C_TYPE_BYTES:
		return bytes_equal(a, b);
	case PROTOBUF_C_TYPE_BOOL:
		return !*(const protobuf_c_boolean *)a == !*(const protobuf_c_boolean *)b;
	case PROTOBUF_C_TYPE_FLOAT: /* the bits: 0 is not -0, and NaN is itself */
		return memcmp(a, b, sizeof(float)) == 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return memcmp(a, b, sizeof(double)) == 0;
	default:
		return reflect_u64(f->type, a) == reflect_u64(f->type, b);
	}
}

/* Long bytes of one length, for instance a register set: tell where they first differ. */
static void emit_place(struct diff *d, const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	_cleanup_strbuf_ struct strbuf sa = {}, sb = {};
	size_t at = 0, n;

	while (a->data[at] == b->data[at])
		at++;
	n = MIN(a->len - at, (size_t)BYTES_SHOWN);
	add_hex(&sa, a->data + at, n);
	add_hex(&sb, b->data + at, n);
	if (sa.err || sb.err)
		d->err = -ENOMEM;
	strbuf_addf(&d->path, "@%#zx", at);
	emit(d, sa.s, sb.s);
}

static void emit_secrets(struct diff *d, const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	_cleanup_strbuf_ struct strbuf sa = {}, sb = {};

	if (a)
		strbuf_addf(&sa, "%zu secret bytes", a->len);
	if (b)
		strbuf_addf(&sb, "%zu %s bytes", b->len, a ? "other secret" : "secret");
	if (sa.err || sb.err)
		d->err = -ENOMEM;
	emit(d, sa.s, sb.s);
}

/* The path is that of the value. Either may be NULL. */
static void diff_value(
	struct diff *d, const ProtobufCFieldDescriptor *f, const void *a, const void *b)
{
	const ProtobufCBinaryData *da = a, *db = b;

	if (reflect_is_secret(f) && !(a && b && bytes_equal(a, b)))
		emit_secrets(d, a, b);
	else if (!a || !b)
		emit_values(d, f, a, b);
	else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		diff_msg(d, reflect_msg(a), reflect_msg(b));
	else if (values_equal(f, a, b))
		return;
	else if (f->type == PROTOBUF_C_TYPE_BYTES && da->len == db->len && da->len > BYTES_SHOWN)
		emit_place(d, da, db);
	else
		emit_values(d, f, a, b);
}

static bool is_volatile(const struct diff *d)
{
	const char *const *v = d->rec->type->volatile_fields;

	for (; v && *v; v++) {
		if (d->plain.s && str_eq(*v, d->plain.s))
			return true;
	}
	return false;
}

static void diff_field(struct diff *d, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *a,
	const ProtobufCMessage *b)
{
	size_t na = reflect_count(a, f), nb = reflect_count(b, f), len = d->path.len;

	if (pages_field(f) || is_volatile(d))
		return;
	for (size_t i = 0; i < MAX(na, nb); i++) {
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			strbuf_addf(&d->path, "[%zu]", i);
		diff_value(d, f, i < na ? reflect_at(a, f, i) : NULL,
			i < nb ? reflect_at(b, f, i) : NULL);
		cut(&d->path, len);
	}
}

static void diff_msg(struct diff *d, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	size_t path = d->path.len, plain = d->plain.len;

	for (unsigned k = 0; k < a->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &a->descriptor->fields[k];

		strbuf_addf(&d->path, "%s%s", path ? "." : "", f->name);
		strbuf_addf(&d->plain, "%s%s", plain ? "." : "", f->name);
		diff_field(d, f, a, b);
		cut(&d->path, path);
		cut(&d->plain, plain);
	}
}

/* Records of @m that @other has not, or both: told as seen from the side @is_a. */
static void diff_records(
	struct diff *d, const struct model *m, const struct model *other, bool is_a)
{
	for (size_t i = 0; i < m->n; i++) {
		const ProtobufCMessage *msg;

		d->rec = &m->recs[i];
		msg = model_get(other, d->rec->type, d->rec->owner);
		if (msg && is_a)
			diff_msg(d, d->rec->msg, msg);
		else if (!msg)
			emit(d, is_a ? "{...}" : NULL, is_a ? NULL : "{...}");
	}
}

int diff_models(const struct model *a, const struct model *b, diff_fn *fn, void *arg, size_t *ret_n)
{
	struct diff d = {.fn = fn, .arg = arg};

	diff_records(&d, a, b, true);
	diff_records(&d, b, a, false);
	if (d.path.err || d.plain.err)
		d.err = -ENOMEM;
	strbuf_done(&d.path);
	strbuf_done(&d.plain);
	*ret_n = d.n;
	return d.err;
}
