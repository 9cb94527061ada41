/*
 * call.c - `ckpt call`: any method of a service, with its result as JSON.
 */
#include "cli/client.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

/* Where the server's data says what kind of failure it was, we end as the command line would have. */
static int print_error(json_t *error)
{
	const char *text = json_string_value(json_object_get(error, "message"));
	const char *kind =
		json_string_value(json_object_get(json_object_get(error, "data"), "kind"));
	int status = CKPT_E_USAGE;

	for (int k = CKPT_E_USAGE; kind && k <= CKPT_E_CANCELLED; k++)
		if (strcmp(ckpt_kind_name((enum ckpt_kind)k), kind) == 0)
			status = k;
	fprintf(stderr, "ckpt: %s\n", text ? text : "the server says that it failed, and no more");
	cli_json(json_pack("{s:O}", "error", error));
	return status;
}

int cli_call(struct cli *cli, int argc, char **argv)
{
	struct ckpt_call_req req = {};
	struct ckpt_error err = {};
	json_t *params = NULL, *ret = NULL;
	const char *args[2];
	json_error_t why;
	int status;

	if (cli_parse(cli, argc, argv, &req, args, &err) < 0)
		return cli_fail(cli, &err);
	if (cli->front.help) {
		options_help(cli->verb, stdout);
		return cli_finish(cli, 0);
	}
	if (!args[0])
		usage_error(&err, NULL, "call: which method? ckpt call %s", cli->verb->synopsis);
	else if (!cli->front.socket)
		usage_error(
			&err, "'ckpt serve' says where it listens", "call: --socket is missing");
	else if (args[1] && !(params = json_loads(args[1], 0, &why)))
		usage_error(&err, NULL, "call: '%s': %s", args[1], why.text);
	if (err.kind)
		return cli_fail(cli, &err);
	if (client_call(cli->front.socket, args[0], params, NULL, 0, NULL, NULL, &ret, &err) == 0) {
		cli_json(ret);
		return cli_finish(cli, 0);
	}
	if (!ret)
		return cli_fail(cli, &err);
	status = print_error(ret);
	json_decref(ret);
	return cli_finish(cli, status);
}
