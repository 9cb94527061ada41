/*
 * call.c - see call.h. A verb that comes later joins by its row.
 */
#include "lib/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/result_json.h"
#include "util/cleanup.h"
#include "util/vec.h"

/* ---- verbs whose result is a struct ---- */

static int call_dump(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_dump_result r;

	if (ckpt_dump(c->req, &r, err) < 0)
		return -1;
	*ret = dump_json(c->req, &r);
	ckpt_dump_result_done(&r);
	return 0;
}

static int call_verify(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_verify_result r;

	if (ckpt_verify(c->req, &r, err) < 0)
		return -1;
	*ret = verify_json(&r);
	return 0;
}

static int call_explain(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_explain_result r;

	if (ckpt_explain(c->req, &r, err) < 0)
		return -1;
	*ret = explain_json(&r);
	ckpt_explain_result_done(&r);
	return 0;
}

static int call_check(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_check_result r;

	if (ckpt_check(c->req, &r, err) < 0)
		return -1;
	*ret = check_json(&r);
	ckpt_check_result_done(&r);
	return 0;
}

static int call_list(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_list_result r;

	if (ckpt_list(c->req, &r, err) < 0)
		return -1;
	*ret = list_json(&r);
	ckpt_list_result_done(&r);
	return 0;
}

static int call_remove(struct call *c, json_t **ret, struct ckpt_error *err)
{
	*ret = json_object();
	return ckpt_remove(c->req, err);
}

static int call_gc(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_gc_result r;

	if (ckpt_gc(c->req, &r, err) < 0)
		return -1;
	*ret = gc_json(&r);
	return 0;
}

/* ---- verbs that print: what they print is JSON ---- */

static int no_memory(struct ckpt_error *err)
{
	if (err)
		*err = (struct ckpt_error){.kind = CKPT_E_SPACE, .err = ENOMEM};
	return -1;
}

static int printed_diff(struct call *c, FILE *out, struct ckpt_error *err)
{
	struct ckpt_diff_req *req = c->req;
	size_t differences;

	req->json = true;
	return ckpt_diff(req, out, &differences, err);
}

static int printed_show(struct call *c, FILE *out, struct ckpt_error *err)
{
	struct ckpt_show_req *req = c->req;

	req->json = true;
	return ckpt_show(req, out, err);
}

static int printed_plan(struct call *c, FILE *out, struct ckpt_error *err)
{
	struct ckpt_restore_req *req = c->req;

	req->json = true;
	return ckpt_plan(req, out, err);
}

static int run_printed(struct call *c,
	int (*run)(struct call *c, FILE *out, struct ckpt_error *err), json_t **ret,
	struct ckpt_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int r;

	if (!out)
		return no_memory(err);
	r = run(c, out, err);
	if (fclose(out) == EOF && r == 0)
		return no_memory(err);
	if (r == 0)
		*ret = json_loadb(text, len, 0, NULL);
	return r;
}

static int call_show(struct call *c, json_t **ret, struct ckpt_error *err)
{
	return run_printed(c, printed_show, ret, err);
}

static int call_diff(struct call *c, json_t **ret, struct ckpt_error *err)
{
	return run_printed(c, printed_diff, ret, err);
}

static int call_restore(struct call *c, json_t **ret, struct ckpt_error *err)
{
	struct ckpt_restore_result r;

	if (c->front.plan)
		return run_printed(c, printed_plan, ret, err);
	if (ckpt_restore(c->req, &r, err) < 0)
		return -1;
	*ret = restore_json(c->req, &r);
	ckpt_restore_result_done(&r);
	return 0;
}

static const struct {
	enum verb verb;
	int (*run)(struct call *c, json_t **ret, struct ckpt_error *err);
} table[] = {
	{VERB_DUMP, call_dump},
	{VERB_RESTORE, call_restore},
	{VERB_SHOW, call_show},
	{VERB_VERIFY, call_verify},
	{VERB_DIFF, call_diff},
	{VERB_CHECK, call_check},
	{VERB_EXPLAIN, call_explain},
	{VERB_LIST, call_list},
	{VERB_REMOVE, call_remove},
	{VERB_GC, call_gc},
};

const struct verb_desc *call_known(const char *name)
{
	const struct verb_desc *v = verb_find(name);

	for (size_t i = 0; v && i < ARRAY_SIZE(table); i++)
		if (table[i].verb == v->verb)
			return v;
	return NULL;
}

int call_run(struct call *c, json_t **ret, struct ckpt_error *err)
{
	int r = -1;

	*ret = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].verb == c->verb->verb)
			r = table[i].run(c, ret, err);
	if (r < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return r == 0 && !*ret ? no_memory(err) : r;
}

/* ---- parameters ---- */

/* A number stays there as long as the request does. */
static const char *number_text(struct call *c, json_int_t n)
{
	char **grown = realloc(c->texts, (c->n_texts + 1) * sizeof(*grown));

	if (!grown)
		return NULL;
	c->texts = grown;
	if (asprintf(&grown[c->n_texts], "%" JSON_INTEGER_FORMAT, n) < 0)
		return NULL;
	return grown[c->n_texts++];
}

static int set(struct call *c, const char *name, const char *value, struct ckpt_error *err)
{
	return option_set_named(c->verb->verb, c->req, &c->front, name, value, err);
}

/* One value that is no array. A string with a NUL in it would be cut off. */
static int set_scalar(struct call *c, const char *name, const json_t *v, struct ckpt_error *err)
{
	const char *text = NULL;

	if (json_is_boolean(v))
		text = json_is_true(v) ? "true" : "false";
	else if (json_is_integer(v))
		text = number_text(c, json_integer_value(v));
	else if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v))
		text = json_string_value(v);
	else
		return usage_error(
			err, NULL, "parameter %s: neither true, false, a number nor text", name);
	return text ? set(c, name, text, err) : no_memory(err);
}

static int set_param(struct call *c, const char *name, json_t *v, struct ckpt_error *err)
{
	const struct option_row *row = option_by_param(c->verb->verb, name);
	size_t i;
	json_t *e;
	int r = 0;

	if (json_is_null(v))
		return 0;
	if (row && row->type != OPT_FLAG && json_is_boolean(v))
		return usage_error(
			err, NULL, "parameter %s: a value is needed: %s", name, row->metavar);
	if (!json_is_array(v) || (row && row->type != OPT_STRINGS))
		return set_scalar(c, name, v, err);
	json_array_foreach(v, i, e)
	{
		if (r == 0)
			r = set_scalar(c, name, e, err);
	}
	return r;
}

int call_begin(
	const struct verb_desc *verb, json_t *params, struct call *ret, struct ckpt_error *err)
{
	const char *name;
	json_t *v;
	int r = 0;

	*ret = (struct call){.verb = verb, .req = calloc(1, verb->req_size)};
	if (!ret->req)
		return no_memory(err);
	((struct ckpt_common *)ret->req)->log_level = CKPT_LOG_WARN;
	if (params && !json_is_object(params))
		return usage_error(
			err, NULL, "%s: parameters are given by name, in an object", verb->name);
	ret->params = json_incref(params);
	json_object_foreach(params, name, v)
	{
		if (r == 0)
			r = set_param(ret, name, v, err);
	}
	return r < 0 ? r : options_complete(verb->verb, ret->req, err);
}

void call_done(struct call *c)
{
	if (c->req)
		options_done(c->verb->verb, c->req);
	free(c->req);
	for (size_t i = 0; i < c->n_texts; i++)
		free(c->texts[i]);
	free(c->texts);
	json_decref(c->params);
	*c = (struct call){};
}
