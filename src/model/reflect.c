/*
 * reflect.c - the fields of any message: see reflect.h.
 */
#include "model/reflect.h"

#include <string.h>

static const void *member(const ProtobufCMessage *msg, size_t offset)
{
	return (const char *)msg + offset;
}

static size_t elem_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return sizeof(uint32_t);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return sizeof(uint64_t);
	case PROTOBUF_C_TYPE_FLOAT:
		return sizeof(float);
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(double);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(int);
	case PROTOBUF_C_TYPE_STRING:
		return sizeof(char *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(ProtobufCMessage *);
	}
	return 0;
}

size_t reflect_count(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
	const void *quantifier = member(msg, f->quantifier_offset);
	const void *value = member(msg, f->offset);

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)quantifier;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(const uint32_t *)quantifier != f->id)
		return 0;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return reflect_msg(value) ? 1 : 0;
	if (f->label != PROTOBUF_C_LABEL_OPTIONAL || f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return 1;
	/* An optional string has no quantifier: it is absent while it is NULL or the default. */
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return *(char *const *)value && *(const void *const *)value != f->default_value;
	return *(const protobuf_c_boolean *)quantifier ? 1 : 0;
}

const void *reflect_at(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f, size_t i)
{
	const void *value = member(msg, f->offset);

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return value;
	return *(const char *const *)value + i * elem_size(f->type);
}

const ProtobufCMessage *reflect_msg(const void *value)
{
	return *(const ProtobufCMessage *const *)value;
}

const char *reflect_str(const void *value)
{
	const char *s = *(const char *const *)value;

	return s ? s : "";
}

const char *reflect_enum(const ProtobufCFieldDescriptor *f, const void *value)
{
	const ProtobufCEnumValue *v =
		protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)value);

	return v ? v->name : NULL;
}

int reflect_is_secret(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_BYTES && !strcmp(f->name, "secret");
}

int reflect_is_signed(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_ENUM:
		return 1;
	default:
		return 0;
	}
}

uint64_t reflect_u64(ProtobufCType type, const void *value)
{
	int32_t s32;
	uint32_t u32;
	uint64_t u64;

	switch (elem_size(type)) {
	case sizeof(uint32_t):
		/* An enum and a protobuf_c_boolean are ints too. */
		memcpy(&s32, value, sizeof(s32));
		memcpy(&u32, value, sizeof(u32));
		return reflect_is_signed(type) ? (uint64_t)(int64_t)s32 : u32;
	case sizeof(uint64_t):
		memcpy(&u64, value, sizeof(u64));
		return u64;
	}
	return 0;
}

const ProtobufCMessage *reflect_unknown(const ProtobufCMessage *msg)
{
	if (msg->n_unknown_fields)
		return msg;
	for (unsigned k = 0; k < msg->descriptor->n_fields; k++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[k];
		size_t n = f->type == PROTOBUF_C_TYPE_MESSAGE ? reflect_count(msg, f) : 0;

		for (size_t i = 0; i < n; i++) {
			const ProtobufCMessage *found =
				reflect_unknown(reflect_msg(reflect_at(msg, f, i)));

			if (found)
				return found;
		}
	}
	return NULL;
}
