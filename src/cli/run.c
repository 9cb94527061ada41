/*
 * run.c - `ckpt run`: a program that goes on where it was.
 */
#include "cli/cli.h"

#include <string.h>
#include <sys/wait.h>

/* What stands behind "--" is the program's own. Return: how many arguments are ours */
static int split(int argc, char **argv, const char *const **ret)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		argv[i] = NULL;
		*ret = (const char *const *)&argv[i + 1];
		return i;
	}
	*ret = NULL;
	return argc;
}

int cli_run_program(struct cli *cli, int argc, char **argv)
{
	struct ckpt_run_req req = {};
	struct ckpt_run_result result;
	struct ckpt_error err = {};
	int status;

	argc = split(argc, argv, &req.argv);
	if (cli_start(cli, argc, argv, &req, NULL, &status) != 0)
		return status;
	if (!req.argv || !req.argv[0]) {
		usage_error(&err, NULL, "run: which program? ckpt run %s", cli->verb->synopsis);
		return cli_fail(cli, &err);
	}
	if (ckpt_run(&req, &result, &err) < 0)
		return cli_fail(cli, &err);
	if (cli->front.json)
		cli_json(run_json(&result));
	status = cli_finish(cli, 0);
	return status ? status : cli_end_as(result.exit_status);
}
