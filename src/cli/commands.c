/*
 * commands.c - one row per verb.
 */
#include "cli/cli.h"

#include "util/vec.h"

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
	{VERB_RUN, cli_run_program},
	{VERB_LIST, cli_list},
	{VERB_REMOVE, cli_remove},
	{VERB_GC, cli_gc},
	{VERB_SERVE, cli_serve},
	{VERB_CALL, cli_call},
	{VERB_HELP, cli_help},
};

static int unknown_verb(struct cli *cli, const char *name)
{
	struct ckpt_error err = {};

	cli_unknown_verb(name, &err);
	return cli_fail(cli, &err);
}

cli_verb_fn *cli_find(enum verb verb)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].verb == verb)
			return commands[i].run;
	return NULL;
}

int cli_run(struct cli *cli, int argc, char **argv)
{
	cli_verb_fn *run;

	cli->verb = verb_find(argv[0]);
	run = cli->verb ? cli_find(cli->verb->verb) : NULL;
	return run ? run(cli, argc, argv) : unknown_verb(cli, argv[0]);
}
