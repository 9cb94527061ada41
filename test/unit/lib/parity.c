/*
 * parity.c - the command line, the service and the library have the same: each verb, each option of it, and each field
 * of its request; what one of them lacks stands here, or in the tables of verbs and options (no_method,
 * no_function, no_param), with the reason.
 *
 * The fields of the requests are read from include/ckpt.h itself (contrib/abi.py), so a new one that no row has
 * is found here.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "cli/cli.h"
#include "lib/call.h"
#include "serve/discover.h"
#include "util/vec.h"

struct abi_field {
	const char *record, *name;
	size_t offset, size;
};
struct abi_function {
	const char *name;
	void *function;
};

#include "gen/abi_table.h"

/* The functions of the library that are no verb by their name. */
static const struct {
	const char *function, *verb, *option;
} named_otherwise[] = {
	{"ckpt_plan", "restore", "plan"},
};

/* Fields that are no option, and what the command line and the service have instead. */
static const struct {
	const char *record, *name, *instead;
} no_option[] = {
	{"ckpt_common", "log", "stderr or --log; the notification log"},
	{"ckpt_common", "log_arg", "as log"},
	{"ckpt_common", "progress", "the line on a terminal; the notification progress"},
	{"ckpt_common", "progress_arg", "as progress"},
	{"ckpt_common", "cancelled", "a signal; the method cancel, the end of the connection"},
	{"ckpt_common", "cancelled_arg", "as cancelled"},
	{"ckpt_restore_req", "started", "--pidfile, the line on stdout; the reply, before exit"},
	{"ckpt_restore_req", "started_arg", "as started"},
	{"ckpt_restore_req", "failed", "the message; --exec is none of the service's"},
	{"ckpt_restore_req", "failed_arg", "as failed"},
	{"ckpt_restore_req", "json",
		"--json of the front end; JSON is all that the service speaks"},
	{"ckpt_show_req", "json", "the same"},
	{"ckpt_diff_req", "json", "the same"},
	{"ckpt_run_req", "argv", "what stands behind --"},
};

/* Options of the command line alone, and what the others have instead. */
static const struct {
	const char *name, *instead;
} only_of_command[] = {
	{"json", "JSON is all that the service speaks; the library has structs"},
	{"log", "the notification log; ckpt_common.log"},
	{"faults", "for tests of the command"},
	{"socket", "where the service is"},
	{"man", "documentation"},
	{"rpc", "documentation"},
	{"completion", "for shells"},
	{"help", "rpc.discover; ckpt.h"},
};

/* ------------------------------------------------------------------ verbs */

static bool has_function(const char *verb)
{
	char name[64];

	snprintf(name, sizeof(name), "ckpt_%s", verb);
	for (const struct abi_function *f = abi_functions; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f->function;
	return false;
}

Test(parity, each_verb_is_everywhere_or_says_why_not)
{
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		bool method = call_known(v->name), function = has_function(v->name);

		cr_expect(cli_find(v->verb), "no command %s", v->name);
		cr_expect_neq(method, v->no_method != NULL, "%s: a method: %d; why not: %s",
			v->name, method, v->no_method);
		cr_expect_neq(function, v->no_function != NULL, "%s: a function: %d; why not: %s",
			v->name, function, v->no_function);
	}
}

/* A function that takes a request is a verb, or an option of one. */
Test(parity, each_request_has_a_verb)
{
	for (const struct abi_field *f = abi_fields; f->record; f++) {
		char verb[64];

		if (f->name || sscanf(f->record, "ckpt_%63[a-z]_req", verb) != 1 ||
			!strstr(f->record, "_req"))
			continue;
		cr_expect(verb_find(verb), "struct %s: no verb", f->record);
		cr_expect(!verb_find(verb) || verb_find(verb)->req_size == f->size, "struct %s",
			f->record);
	}
	for (size_t i = 0; i < ARRAY_SIZE(named_otherwise); i++) {
		const struct verb_desc *v = verb_find(named_otherwise[i].verb);

		cr_assert(v);
		cr_expect(option_find(v->verb, named_otherwise[i].option)->called);
	}
}

/* ------------------------------------------------------------------ fields */

static size_t size_of_type(enum option_type type)
{
	switch (type) {
	case OPT_FLAG:
		return sizeof(bool);
	case OPT_STRING:
	case OPT_STRINGS:
		return sizeof(char *);
	case OPT_PID:
		return sizeof(pid_t);
	case OPT_U64:
	case OPT_TIME:
	case OPT_SIZE:
		return sizeof(uint64_t);
	case OPT_SIGNAL:
	case OPT_ENUM:
	case OPT_LEVEL:
		return sizeof(int);
	case OPT_NOTHING:
		break;
	}
	return 0;
}

static bool has_row(enum verb verb, size_t offset, size_t size)
{
	const struct option_row *row;
	size_t pos = 0;

	while ((row = option_next(verb, &pos)))
		if (row->home == HOME_REQ && option_listed(row) && row->offset == offset &&
			size_of_type(row->type) == size)
			return true;
	return false;
}

static const char *instead_of(const char *record, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(no_option); i++)
		if (strcmp(no_option[i].record, record) == 0 &&
			strcmp(no_option[i].name, name) == 0)
			return no_option[i].instead;
	return NULL;
}

static void expect_rows(const char *record, enum verb verb)
{
	for (const struct abi_field *f = abi_fields; f->record; f++) {
		bool row, instead;

		if (!f->name || strcmp(f->record, record) != 0 || strcmp(f->name, "common") == 0)
			continue;
		/* a trace is of a dump or a restore */
		if (strcmp(f->name, "trace_file") == 0 && !(verb & (VERB_DUMP | VERB_RESTORE)))
			continue;
		row = has_row(verb, f->offset, f->size);
		instead = instead_of(record, f->name);
		cr_expect_neq(row, instead, "%s.%s: an option: %d; something instead: %d", record,
			f->name, row, instead);
	}
}

Test(parity, each_field_is_an_option)
{
	char record[64];

	for (const struct verb_desc *v = verbs(); v->name; v++) {
		if (v->no_function)
			continue;
		snprintf(record, sizeof(record), "ckpt_%s_req", v->name);
		expect_rows("ckpt_common", v->verb);
		expect_rows(record, v->verb);
	}
	/* what stands above is still there */
	for (size_t i = 0; i < ARRAY_SIZE(no_option); i++) {
		bool found = false;

		for (const struct abi_field *f = abi_fields; f->record; f++)
			found |= f->name && strcmp(f->record, no_option[i].record) == 0 &&
				 strcmp(f->name, no_option[i].name) == 0;
		cr_expect(found, "%s.%s", no_option[i].record, no_option[i].name);
	}
}

/* ------------------------------------------------------------------ options */

/* A value that the row takes, other than the default. */
static const char *sample(const struct option_row *row)
{
	static const char *const lists[][2] = {{"sysvipc", "sem:7"}, {"fd", "1=close"},
		{"resource", "socket=close"}, {"tcp-map", "10.0.0.1=10.0.0.2"}, {"hook", "/x"},
		{"notify-signals", "40,41"}};
	static char number[24];

	switch (row->type) {
	case OPT_STRING:
		if (!row->check)
			return "/some/path";
		__attribute__((fallthrough));
	case OPT_STRINGS:
		for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
			if (strcmp(lists[i][0], row->name) == 0)
				return lists[i][1];
		cr_assert_fail("--%s: name a value for it here", row->name);
	case OPT_SIGNAL:
		return "USR1";
	case OPT_LEVEL:
		return "4";
	case OPT_ENUM:
		for (const struct option_name *n = row->names; n->name; n++)
			if (n->value)
				return n->name;
		return NULL;
	default:
		snprintf(number, sizeof(number), "%llu", (unsigned long long)row->min);
		return number;
	}
}

/* Whether the fields of the row say the same in both requests, and something. */
static bool same_and_set(const struct option_row *row, const void *a, const void *b)
{
	const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
	static const char zero[8];
	size_t size = size_of_type(row->type);

	if (memcmp(x, zero, size) == 0 || memcmp(y, zero, size) == 0)
		return false;
	if (row->type == OPT_STRING)
		return strcmp(*(char *const *)x, *(char *const *)y) == 0;
	if (row->type != OPT_STRINGS)
		return memcmp(x, y, size) == 0;
	return strcmp((*(char *const *const *)x)[0], (*(char *const *const *)y)[0]) == 0;
}

static void expect_both_ways(const struct verb_desc *v, const struct option_row *row)
{
	const char *value = row->type == OPT_FLAG ? NULL : sample(row), *args[2];
	char option[128], *argv[] = {(char *)v->name, option, NULL}, name[64];
	struct cli cli = {.verb = v, .log = stderr};
	struct ckpt_error err = {};
	void *req = calloc(1, v->req_size);
	json_t *params = json_object();
	struct call call;

	snprintf(option, sizeof(option), "--%s%s%s", row->name, value ? "=" : "",
		value ? value : "");
	cr_expect_eq(cli_parse(&cli, 2, argv, req, args, &err), 0, "%s %s", v->name, option);
	snprintf(name, sizeof(name), "%s", row->name);
	for (char *p = name; *p; p++)
		*p = *p == '-' ? '_' : *p;
	json_object_set_new(params, name, value ? json_string(value) : json_true());
	if (row->no_param) {
		cr_expect_eq(call_begin(v, params, &call, &err), -1, "%s: %s", v->name, option);
		cr_expect_eq(err.kind, CKPT_E_USAGE);
		cr_expect(strstr(err.object, row->no_param), "%s: %s", v->name, err.object);
	} else {
		call_begin(v, params, &call, NULL); /* other parameters may be missing */
		cr_expect(same_and_set(row, req, call.req), "%s: parameter %s and %s differ",
			v->name, name, option);
	}
	call_done(&call);
	json_decref(params);
	options_done(v->verb, req);
	free(req);
	ckpt_error_done(&err);
}

Test(parity, each_option_is_a_parameter_and_sets_the_same)
{
	for (const struct verb_desc *v = verbs(); v->name; v++) {
		const struct option_row *row;
		size_t pos = 0;

		while ((row = option_next(v->verb, &pos)))
			if (call_known(v->name) && row->home == HOME_REQ && option_listed(row))
				expect_both_ways(v, row);
	}
}

Test(parity, what_only_the_command_line_has_is_known)
{
	const struct option_row *row;
	size_t pos = 0;

	while ((row = option_next(VERB_ALL, &pos))) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(only_of_command); i++)
			known |= strcmp(only_of_command[i].name, row->name) == 0;
		if (row->home == HOME_FRONT)
			cr_expect_neq(known, row->called, "--%s", row->name);
	}
}

/* And the document of the service names them all. */
Test(parity, the_document_has_each_option)
{
	json_t *document = discover_document(), *methods = json_object_get(document, "methods"), *m,
	       *p;
	size_t i, k, found = 0;

	json_array_foreach(methods, i, m)
	{
		const char *name = json_string_value(json_object_get(m, "name"));
		const struct verb_desc *v = call_known(name);
		const struct option_row *row;
		size_t pos = 0, want = 0;

		if (!v)
			continue;
		found++;
		while ((row = option_next(v->verb, &pos)))
			want += option_listed(row) && !row->no_param &&
				(row->home == HOME_REQ || row->called);
		cr_expect_eq(json_array_size(json_object_get(m, "params")), want, "%s", name);
		json_array_foreach(json_object_get(m, "params"), k, p)
		{
			cr_expect(option_by_param(
					  v->verb, json_string_value(json_object_get(p, "name"))),
				"%s", name);
		}
	}
	for (const struct verb_desc *v = verbs(); v->name; v++)
		found -= call_known(v->name) != NULL;
	cr_expect_eq(found, 0);
	json_decref(document);
}
