/*
 * reflect.h - the fields of any message, by its descriptor.
 *
 * protobuf-c describes each field by its type, label and offsets. Here that is reduced to: how
 * many values does the field hold, and where is value i. A field of proto3 without a label always
 * holds one value; a message, an optional and a member of a oneof hold none or one.
 */
#ifndef CKPT_MODEL_REFLECT_H
#define CKPT_MODEL_REFLECT_H

#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>

/** reflect_count() - Return: how many values the field holds in this message */
size_t reflect_count(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f);

/**
 * reflect_at() - value @i of a field, i < reflect_count()
 * Return: where the value is, of the C type that belongs to the field's type: a number, a
 *         ProtobufCBinaryData, a char * or a ProtobufCMessage *; never NULL itself.
 */
const void *reflect_at(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f, size_t i);

/** reflect_msg() - Return: the message that reflect_at() of a message field points at, or NULL */
const ProtobufCMessage *reflect_msg(const void *value);

/** reflect_str() - Return: the string of a string field, "" where there is none */
const char *reflect_str(const void *value);

/** reflect_enum() - Return: the name of an enum field's value, or NULL for an unknown number */
const char *reflect_enum(const ProtobufCFieldDescriptor *f, const void *value);

/** reflect_u64() - value of a number field (not a float), sign extended. @type: of the field */
uint64_t reflect_u64(ProtobufCType type, const void *value);

/** reflect_is_secret() - whether nobody is to be shown what is in it: bytes that are called `secret` */
int reflect_is_secret(const ProtobufCFieldDescriptor *f);

/** reflect_is_signed() - Return: whether numbers of this type have a sign */
int reflect_is_signed(ProtobufCType type);

/**
 * reflect_unknown() - look for a field that this build does not know
 * Return: the message that holds one (its first is unknown_fields[0]), which is @msg or one within;
 *         NULL when there is none.
 */
const ProtobufCMessage *reflect_unknown(const ProtobufCMessage *msg);

#endif
