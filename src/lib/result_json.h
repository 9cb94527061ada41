/*
 * result_json.h - results and errors as JSON objects: the same for --json, the service and its clients.
 *
 * Every function returns a new reference, or NULL when memory ran out. Numbers are those of ckpt.h,
 * units in their names; a crid is a string, as many readers of JSON round numbers beyond 2^53.
 */
#ifndef CKPT_LIB_RESULT_JSON_H
#define CKPT_LIB_RESULT_JSON_H

#include <jansson.h>

#include "ckpt.h"

/** json_add_status() - how a program has ended: exit_code or signal, of a status as of wait(2) */
void json_add_status(json_t *o, int wait_status);

/** json_text() - a string, also where it is no UTF-8: each wrong byte becomes "\\xHH"; NULL gives null */
json_t *json_text(const char *text);

/** json_crid() - a crid as a string */
json_t *json_crid(uint64_t crid);

/** error_json() - all fields of an error, and the text that the command line prints */
json_t *error_json(const struct ckpt_error *err);

json_t *dump_json(const struct ckpt_dump_req *req, const struct ckpt_dump_result *r);
json_t *restore_json(const struct ckpt_restore_req *req, const struct ckpt_restore_result *r);
json_t *verify_json(const struct ckpt_verify_result *r);
json_t *explain_json(const struct ckpt_explain_result *r);
json_t *check_json(const struct ckpt_check_result *r);
json_t *list_json(const struct ckpt_list_result *r);
json_t *run_json(const struct ckpt_run_result *r);
json_t *gc_json(const struct ckpt_gc_result *r);

#endif
