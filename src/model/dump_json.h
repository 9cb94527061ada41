/*
 * dump_json.h - any message, and a whole model, as JSON.
 *
 * By the message's descriptor, so a new resource needs nothing here. Field names are those of the
 * .proto file; enums are their names; bytes are hexadecimal, or {"bytes": length, "xxh3": "..."}
 * where they are long; integers that JSON readers would round (2^63 and more) are strings. Text
 * that is not UTF-8 (file names may be anything) has \xNN for the bytes in question.
 */
#ifndef CKPT_MODEL_DUMP_JSON_H
#define CKPT_MODEL_DUMP_JSON_H

#include <jansson.h>

#include "model/model.h"
#include "util/json_str.h"

#define JSON_BYTES_HEX_MAX 64 /* longer ones are told by length and checksum */

/** json_of_msg() - Return: a new reference; NULL when out of memory */
json_t *json_of_msg(const ProtobufCMessage *msg);

/** json_of_u64() - Return: a new integer below 2^63, else a string; NULL when out of memory */
json_t *json_of_u64(uint64_t v);

/**
 * json_of_model() - every record, in the order of the model
 * Return: a new array of {"resource": name, "owner": number, "value": message}; NULL when out of
 *         memory.
 */
json_t *json_of_model(const struct model *m);

#endif
