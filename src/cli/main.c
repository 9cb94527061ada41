/*
 * main.c - the command: one row per verb.
 */
#include "cli/cli.h"

#include <string.h>

static const struct {
	enum verb verb;
	cli_verb_fn *run;
} commands[] = {
	{VERB_DUMP, cli_dump},
	{VERB_RESTORE, cli_restore},
	{VERB_SHOW, cli_show},
	{VERB_VERIFY, cli_verify},
	{VERB_DIFF, cli_diff},
	{VERB_CHECK, cli_check},
	{VERB_EXPLAIN, cli_explain},
	{VERB_HELP, cli_help},
};

static int unknown_verb(struct cli *cli, const char *name)
{
	struct ckpt_error err = {};

	cli_unknown_verb(name, &err);
	return cli_fail(cli, &err);
}

int main(int argc, char **argv)
{
	struct cli cli = {.log = stderr};

	if (argc < 2) {
		options_help(NULL, stderr);
		return CKPT_E_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("ckpt %s\n", CKPT_VERSION);
		return cli_finish(&cli, 0);
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		options_help(NULL, stdout);
		return cli_finish(&cli, 0);
	}
	cli.verb = verb_find(argv[1]);
	for (size_t i = 0; cli.verb && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].verb == cli.verb->verb)
			return commands[i].run(&cli, argc - 1, argv + 1);
	return unknown_verb(&cli, argv[1]);
}
