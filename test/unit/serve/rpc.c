/*
 * rpc.c - what is a request of JSON-RPC 2.0, what errors look like, and parameters into requests.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/call.h"
#include "serve/discover.h"
#include "serve/rpc.h"

static json_t *parsed(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	cr_assert(v, "%s", text);
	return v;
}

Test(rpc, requests)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":1}", 0},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\"}", 0},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{},\"id\":null}", 0},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[],\"id\":\"a\"}", 0},
		{"{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":1}", -1},
		{"{\"jsonrpc\":\"1.0\",\"method\":\"x\",\"id\":1}", -1},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":{}}", -1},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":1,\"id\":1}", -1},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", -1},
		{"1", -1},
		{"[]", -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *m = parsed(rows[i].text);
		struct rpc_request r;

		cr_expect_eq(rpc_request(m, &r), rows[i].r, "%s", rows[i].text);
		json_decref(m);
	}
}

Test(rpc, depth_is_told_before_it_is_parsed)
{
	static const char quoted[] = "[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]";
	char deep[80];
	json_t *v = NULL, *error = NULL;

	memset(deep, '[', 33);
	memset(deep + 33, ']', 33);
	cr_expect_eq(rpc_parse(deep + 1, 64, &v, &error), 0);
	json_decref(v);
	cr_expect_eq(rpc_parse(deep, 66, &v, &error), -1);
	cr_expect_eq(json_integer_value(json_object_get(error, "code")), RPC_PARSE_ERROR);
	json_decref(error);
	/* in a string, also one with quotes in it, they are text */
	cr_expect_eq(rpc_parse(quoted, strlen(quoted), &v, &error), 0);
	json_decref(v);
}

Test(rpc, an_error_has_its_kind_in_the_code)
{
	struct ckpt_error err = {.kind = CKPT_E_REFUSED,
		.err = EPERM,
		.object = strdup("pid 12 (x): fd 7 socket:[99]"),
		.call = strdup("open")};
	json_t *o = rpc_error_of(&err), *data = json_object_get(o, "data");

	cr_expect_eq(json_integer_value(json_object_get(o, "code")), -32003);
	cr_expect_eq(json_integer_value(json_object_get(data, "pid")), 12);
	cr_expect_eq(json_integer_value(json_object_get(data, "fd")), 7);
	cr_expect_eq(json_integer_value(json_object_get(data, "errno")), EPERM);
	cr_expect_str_eq(json_string_value(json_object_get(data, "syscall")), "open");
	cr_expect(json_is_null(json_object_get(data, "hint")));
	cr_expect_null(err.object, "it is freed");
	json_decref(o);
	err = (struct ckpt_error){.kind = CKPT_E_USAGE, .object = strdup("x")};
	o = rpc_error_of(&err);
	cr_expect_eq(json_integer_value(json_object_get(o, "code")), RPC_INVALID_PARAMS);
	json_decref(o);
}

/* ---- parameters ---- */

Test(call, parameters_become_fields)
{
	json_t *params =
		parsed("{\"pid\": 12, \"leave_running\": true, \"dir\": \"/x\", \"force\": false,"
		       " \"policy\": null, \"fd\": [\"12:1=close\", \"2=null\"], \"verbose\": 4}");
	struct ckpt_error err = {};
	struct call c;
	const struct ckpt_dump_req *req;

	cr_assert_eq(call_begin(call_known("dump"), params, &c, &err), 0);
	json_decref(params); /* it is held by the call */
	req = c.req;
	cr_expect_eq(req->pid, 12);
	cr_expect(req->leave_running);
	cr_expect_not(req->force);
	cr_expect_str_eq(req->dir, "/x");
	cr_expect_null(req->policy);
	cr_expect_str_eq(req->fds[0], "12:1=close");
	cr_expect_str_eq(req->fds[1], "2=null");
	cr_expect_null(req->fds[2]);
	cr_expect_eq(req->common.log_level, CKPT_LOG_DEBUG);
	call_done(&c);
}

Test(call, wrong_parameters)
{
	static const char *const wrong[] = {"[]", "{}", "{\"pid\": \"x\"}", "{\"pid\": 1.5}",
		"{\"pid\": true}", "{\"pid\": 1, \"dir\": [\"/x\"]}", "{\"pid\": 1, \"dir\": {}}",
		"{\"pid\": 1, \"dir\": \"/x\\u0000y\"}", "{\"pid\": 1, \"fd\": [1, [2]]}",
		"{\"pid\": 1, \"json\": true}", "{\"pid\": 1, \"log\": \"/x\"}",
		"{\"pid\": 1, \"leave_running\": true, \"leave_stopped\": true}",
		"{\"pid\": 1, \"leave_running\": 1}"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json_t *params = json_loads(wrong[i], JSON_ALLOW_NUL, NULL);
		struct ckpt_error err = {};
		struct call c;

		cr_assert(params);
		cr_expect_eq(call_begin(call_known("dump"), params, &c, &err), -1, "%s", wrong[i]);
		cr_expect_eq(err.kind, CKPT_E_USAGE, "%s", wrong[i]);
		ckpt_error_done(&err);
		call_done(&c);
		json_decref(params);
	}
}

/* None of the front ends has a verb or an option of a request that another lacks. */
Test(call, every_option_of_a_request_is_a_parameter)
{
	json_t *document = discover_document(), *methods = json_object_get(document, "methods");

	for (const struct verb_desc *v = verbs(); v->name; v++) {
		const struct option_row *row;
		json_t *m, *found = NULL;
		size_t pos = 0, i, n = 0;

		if (!call_known(v->name)) {
			/* what lives as long as its caller, or is of the terminal */
			cr_expect(v->verb & (VERB_RUN | VERB_SERVE | VERB_CALL | VERB_HELP), "%s",
				v->name);
			continue;
		}
		json_array_foreach(methods, i, m)
		{
			if (!strcmp(json_string_value(json_object_get(m, "name")), v->name))
				found = m;
		}
		cr_assert(found, "%s", v->name);
		while ((row = option_next(v->verb, &pos)))
			n += option_listed(row) && !row->no_param &&
			     (row->home == HOME_REQ || row->called);
		cr_expect_eq(json_array_size(json_object_get(found, "params")), n, "%s", v->name);
	}
	json_decref(document);
}
