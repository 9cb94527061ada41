/*
 * discover.c - see discover.h. Methods of verbs come from the table of options; those of the session
 * itself stand here, as nothing else describes them.
 */
#include "serve/discover.h"

#include <string.h>

#include "lib/call.h"
#include "serve/serve.h"
#include "util/vec.h"

/* A parameter of a method that is no verb. */
struct param {
	const char *name, *type, *help;
	bool required;
};

static const struct {
	const char *name, *summary, *result;
	struct param params[3];
} own_methods[] = {
	{"ping", "answers \"pong\"", "string", {}},
	{"version", "the versions of ckpt and of JSON-RPC", "object", {}},
	{"cancel", "ends an operation that this connection has begun; its reply is then an error",
		"object", {{"id", "string", "of the request", true}}},
	{"wait",
		"answers when a process has ended; with its exit_code or signal where it is of the caller's user, or "
		"the caller is root, and the kernel still tells it (6.15 or newer always)",
		"object", {{"pid", "integer", "the process", true}}},
	{"command",
		"runs a command as the command line would; the descriptors that come along are its standard "
		"input, output and error, and its working directory",
		"object", {{"argv", "array", "the verb and its arguments", true}}},
	{"rpc.discover", "this document", "object", {}},
};

static const char *type_name(const struct option_row *row)
{
	switch (row->type) {
	case OPT_FLAG:
		return "boolean";
	case OPT_PID:
	case OPT_U64:
	case OPT_SIZE:
	case OPT_TIME:
	case OPT_LEVEL:
		return "integer";
	case OPT_STRINGS:
		return "array";
	default:
		return "string";
	}
}

/* As JSON names it: '_' between the words. */
static void param_name(const char *name, char *ret, size_t len)
{
	snprintf(ret, len, "%s", name);
	for (char *p = ret; *p; p++)
		*p = *p == '-' ? '_' : *p;
}

static bool is_param(const struct option_row *row)
{
	return option_listed(row) && !row->no_param && (row->home == HOME_REQ || row->called);
}

static json_t *schema_of(const struct option_row *row)
{
	json_t *schema = json_pack("{s:s}", "type", type_name(row)), *names;

	if (row->type == OPT_STRINGS)
		json_object_set_new(schema, "items", json_pack("{s:s}", "type", "string"));
	if (row->type == OPT_PID || row->type == OPT_U64) {
		json_object_set_new(schema, "minimum", json_integer((json_int_t)row->min));
		json_object_set_new(schema, "maximum", json_integer((json_int_t)row->max));
	}
	if (row->type == OPT_ENUM) {
		names = json_array();
		for (const struct option_name *n = row->names; n->name; n++)
			json_array_append_new(names, json_string(n->name));
		json_object_set_new(schema, "enum", names);
	}
	if (row->dflt)
		json_object_set_new(schema, "description", json_string(row->dflt));
	return schema;
}

static json_t *method_of_verb(const struct verb_desc *v)
{
	json_t *params = json_array();
	const struct option_row *row;
	size_t pos = 0;
	char name[64];

	while ((row = option_next(v->verb, &pos))) {
		if (!is_param(row))
			continue;
		param_name(row->name, name, sizeof(name));
		json_array_append_new(params,
			json_pack("{s:s, s:s, s:b, s:o}", "name", name, "description", row->help,
				"required", (int)row->required, "schema", schema_of(row)));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:{s:s, s:{s:s}}}", "name", v->name, "summary",
		v->summary, "description", v->text, "paramStructure", "by-name", "params", params,
		"result", "name", "result", "schema", "type", "object");
}

static json_t *method_of_own(size_t i)
{
	json_t *params = json_array();

	for (const struct param *p = own_methods[i].params; p->name; p++)
		json_array_append_new(params,
			json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", p->name, "description",
				p->help, "required", (int)p->required, "schema", "type", p->type));
	return json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:{s:s}}}", "name", own_methods[i].name,
		"summary", own_methods[i].summary, "paramStructure", "by-name", "params", params,
		"result", "name", "result", "schema", "type", own_methods[i].result);
}

json_t *discover_document(void)
{
	json_t *methods = json_array();

	for (const struct verb_desc *v = verbs(); v->name; v++)
		if (call_known(v->name))
			json_array_append_new(methods, method_of_verb(v));
	for (size_t i = 0; i < ARRAY_SIZE(own_methods); i++)
		json_array_append_new(methods, method_of_own(i));
	return json_pack("{s:s, s:{s:s, s:s}, s:o}", "openrpc", "1.3.2", "info", "title", "ckpt",
		"version", CKPT_VERSION, "methods", methods);
}

static void print_param(
	FILE *out, const char *name, const char *type, bool required, const char *help)
{
	fprintf(out, "| `%s` | %s%s | %s |\n", name, type, required ? ", required" : "", help);
}

static void print_table(FILE *out)
{
	fputs("\n| parameter | type | |\n|---|---|---|\n", out);
}

void discover_markdown(FILE *out)
{
	const struct option_row *row;
	char name[64];

	for (const struct verb_desc *v = verbs(); v->name; v++) {
		size_t pos = 0;

		if (!call_known(v->name))
			continue;
		fprintf(out, "\n### `%s`\n\n%s\n", v->name, v->text);
		print_table(out);
		while ((row = option_next(v->verb, &pos))) {
			if (!is_param(row))
				continue;
			param_name(row->name, name, sizeof(name));
			print_param(out, name, type_name(row), row->required, row->help);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(own_methods); i++) {
		fprintf(out, "\n### `%s`\n\n%s\n", own_methods[i].name, own_methods[i].summary);
		if (own_methods[i].params[0].name)
			print_table(out);
		for (const struct param *p = own_methods[i].params; p->name; p++)
			print_param(out, p->name, p->type, p->required, p->help);
	}
	fputs("\n### Verbs that are no methods\n\n", out);
	for (const struct verb_desc *v = verbs(); v->name; v++)
		if (v->no_method)
			fprintf(out, "- `%s`: %s\n", v->name, v->no_method);
}
