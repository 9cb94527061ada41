/*
 * dump_json.c - any message as JSON: see dump_json.h.
 */
#include "model/dump_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "model/reflect.h"

json_t *json_of_u64(uint64_t v)
{
	char text[24];

	if (v <= INT64_MAX)
		return json_integer((json_int_t)v);
	snprintf(text, sizeof(text), "%" PRIu64, v);
	return json_string(text);
}

static json_t *of_bytes(const ProtobufCBinaryData *b)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * JSON_BYTES_HEX_MAX];
	char sum[20];

	if (b->len > JSON_BYTES_HEX_MAX) {
		snprintf(sum, sizeof(sum), "%016" PRIx64, (uint64_t)XXH3_64bits(b->data, b->len));
		return json_pack("{s:o, s:s}", "bytes", json_of_u64(b->len), "xxh3", sum);
	}
	for (size_t i = 0; i < b->len; i++) {
		hex[2 * i] = digits[b->data[i] >> 4];
		hex[2 * i + 1] = digits[b->data[i] & 15];
	}
	return json_stringn(hex, 2 * b->len);
}

/* Not even a digest: one of few bytes tells them. */
static json_t *of_secret(const ProtobufCBinaryData *b)
{
	return json_pack("{s:o}", "bytes", json_of_u64(b->len));
}

/* JSON has no NaN and no infinity. */
static json_t *of_real(double v)
{
	char text[32];

	if (isfinite(v))
		return json_real(v);
	snprintf(text, sizeof(text), "%f", v);
	return json_string(text);
}

static json_t *of_value(const ProtobufCFieldDescriptor *f, const void *value)
{
	const char *name;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return json_of_str(reflect_str(value));
	case PROTOBUF_C_TYPE_BYTES:
		return reflect_is_secret(f) ? of_secret(value) : of_bytes(value);
	case PROTOBUF_C_TYPE_MESSAGE:
		return json_of_msg(reflect_msg(value));
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)value);
	case PROTOBUF_C_TYPE_FLOAT:
		return of_real(*(const float *)value);
	case PROTOBUF_C_TYPE_DOUBLE:
		return of_real(*(const double *)value);
	case PROTOBUF_C_TYPE_ENUM:
		name = reflect_enum(f, value);
		if (name)
			return json_string(name);
		break;
	default:
		break;
	}
	if (reflect_is_signed(f->type))
		return json_integer((json_int_t)reflect_u64(f->type, value));
	return json_of_u64(reflect_u64(f->type, value));
}

static json_t *of_field(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
	size_t n = reflect_count(msg, f);
	json_t *array;

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return of_value(f, reflect_at(msg, f, 0));
	array = json_array();
	for (size_t i = 0; array && i < n; i++) {
		if (json_array_append_new(array, of_value(f, reflect_at(msg, f, i))) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

json_t *json_of_msg(const ProtobufCMessage *msg)
{
	json_t *obj = json_object();

	for (unsigned k = 0; obj && k < msg->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[k];

		/* An empty list says something, a value that is not there does not. */
		if (f->label != PROTOBUF_C_LABEL_REPEATED && !reflect_count(msg, f))
			continue;
		if (json_object_set_new_nocheck(obj, f->name, of_field(msg, f)) < 0) {
			json_decref(obj);
			return NULL;
		}
	}
	return obj;
}

json_t *json_of_model(const struct model *m)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < m->n; i++) {
		const struct model_rec *rec = &m->recs[i];
		json_t *one = json_pack("{s:s, s:o, s:o}", "resource", rec->type->name, "owner",
			json_of_u64(rec->owner), "value", json_of_msg(rec->msg));

		if (json_array_append_new(array, one) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}
