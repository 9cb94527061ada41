/*
 * call.h - a verb called by its name, with named parameters and a result as JSON: what the service, its
 * clients and scripts call. The names are those of the table of options, with '_' for '-'.
 */
#ifndef CKPT_LIB_CALL_H
#define CKPT_LIB_CALL_H

#include <jansson.h>

#include "lib/options.h"

struct call {
	const struct verb_desc *verb;
	struct option_front front;
	json_t *params; /* owns the strings of req */
	char **texts;   /* numbers as text, owned */
	size_t n_texts;
	void *req; /* begins with struct ckpt_common */
};

/** call_known() - the verb that can be called by that name; NULL: none */
const struct verb_desc *call_known(const char *name);

/**
 * call_begin() - parameters into a request
 * @params: an object, or NULL for none: booleans, numbers, strings, and arrays of strings for options that
 *          may be given repeatedly; a reference is taken
 * @ret:    released with call_done(), also after a failure
 * Return: 0; -1 with *err filled, kind CKPT_E_USAGE or CKPT_E_SPACE
 */
int call_begin(
	const struct verb_desc *verb, json_t *params, struct call *ret, struct ckpt_error *err);

/**
 * call_run() - do it
 * @ret: a new reference to the result
 * Return: 0; -1 with *err filled
 */
int call_run(struct call *c, json_t **ret, struct ckpt_error *err);

/** call_done() - free what call_begin() made */
void call_done(struct call *c);

#endif
