/*
 * serve.c - `ckpt serve`: the service, until it is told to end.
 */
#include "serve/serve.h"

#include <string.h>

#include "cli/cli.h"

/* What a client has a command done by: the same as main() does. */
static int command(int argc, char **argv)
{
	struct cli cli = {.log = stderr, .served = true};

	return cli_run(&cli, argc, argv);
}

int cli_serve(struct cli *cli, int argc, char **argv)
{
	struct ckpt_serve_req req = {};
	struct ckpt_error err = {};
	struct ckpt_op op;
	int r, status;

	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	op_init(&op, &req.common);
	r = req.session ? serve_session(&op, (int)req.session, command)
			: serve_run(&op, &req, command);
	op_done(&op, &err);
	return r < 0 ? cli_fail(cli, &err) : cli_finish(cli, r);
}
