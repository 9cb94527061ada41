/*
 * rpc.c - see rpc.h.
 */
#include "serve/rpc.h"

#include <string.h>

#include "lib/result_json.h"
#include "serve/serve.h"

/* Arrays and objects in each other, told before anything recurses into them. */
static bool too_deep(const char *s, size_t len)
{
	unsigned depth = 0;
	bool text = false;

	for (size_t i = 0; i < len; i++) {
		if (text && s[i] == '\\')
			i++;
		else if (s[i] == '"')
			text = !text;
		else if (!text && (s[i] == '[' || s[i] == '{') && ++depth > SERVE_NESTING_MAX)
			return true;
		else if (!text && (s[i] == ']' || s[i] == '}') && depth)
			depth--;
	}
	return false;
}

json_t *rpc_error(enum rpc_code code, const char *message)
{
	return json_pack("{s:i, s:o}", "code", (int)code, "message", json_text(message));
}

int rpc_parse(const char *text, size_t len, json_t **ret, json_t **ret_error)
{
	char message[JSON_ERROR_TEXT_LENGTH + 64];
	json_error_t why;

	if (too_deep(text, len)) {
		snprintf(message, sizeof(message), "more than %d arrays and objects in each other",
			SERVE_NESTING_MAX);
		*ret_error = rpc_error(RPC_PARSE_ERROR, message);
		return -1;
	}
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (*ret)
		return 0;
	snprintf(message, sizeof(message), "byte %d: %s", why.position, why.text);
	*ret_error = rpc_error(RPC_PARSE_ERROR, message);
	return -1;
}

json_t *rpc_error_of(struct ckpt_error *err)
{
	json_t *data = error_json(err), *o;
	bool usage = err->kind == CKPT_E_USAGE;

	o = json_pack("{s:i, s:O, s:o}", "code",
		usage ? RPC_INVALID_PARAMS : RPC_OPERATION - (int)err->kind, "message",
		json_object_get(data, "text"), "data", data);
	ckpt_error_done(err);
	return o;
}

json_t *rpc_response(json_t *id, json_t *result, json_t *error)
{
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", error ? "error" : "result",
		error    ? error
		: result ? result
			 : json_null(),
		"id", id ? json_incref(id) : json_null());
}

json_t *rpc_notification(const char *method, json_t *params)
{
	return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
}

int rpc_request(json_t *message, struct rpc_request *ret)
{
	json_t *id = json_object_get(message, "id");
	json_t *method = json_object_get(message, "method");
	json_t *params = json_object_get(message, "params");
	const char *version = json_string_value(json_object_get(message, "jsonrpc"));
	bool id_fits = !id || json_is_string(id) || json_is_number(id) || json_is_null(id);

	*ret = (struct rpc_request){
		.id = id_fits ? id : NULL, .method = json_string_value(method), .params = params};
	if (!json_is_object(message) || !id_fits || !version || strcmp(version, "2.0") != 0 ||
		!ret->method || (params && !json_is_object(params) && !json_is_array(params)))
		return -1;
	return 0;
}
