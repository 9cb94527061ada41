/*
 * help.c - `ckpt help`: the help, the man page and shell completion, all from the tables.
 */
#include "cli/cli.h"
#include "serve/discover.h"

int cli_help(struct cli *cli, int argc, char **argv)
{
	struct ckpt_common none = {};
	struct ckpt_error err = {};
	const struct verb_desc *verb = NULL;
	const char *args[2];

	if (cli_parse(cli, argc, argv, &none, args, &err) < 0)
		return cli_fail(cli, &err);
	if (args[0] && !(verb = verb_find(args[0]))) {
		cli_unknown_verb(args[0], &err);
		return cli_fail(cli, &err);
	}
	if (cli->front.man)
		options_man(stdout);
	else if (cli->front.rpc)
		discover_markdown(stdout);
	else if (cli->front.completion)
		options_completion((enum option_shell)cli->front.completion, stdout);
	else
		options_help(cli->front.help && !verb ? cli->verb : verb, stdout);
	return cli_finish(cli, 0);
}
