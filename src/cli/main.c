/*
 * main.c - the command: one row per verb.
 */
#include "cli/client.h"

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

int cli_run(struct cli *cli, int argc, char **argv)
{
	cli->verb = verb_find(argv[0]);
	for (size_t i = 0; cli->verb && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].verb == cli->verb->verb)
			return commands[i].run(cli, argc, argv);
	return unknown_verb(cli, argv[0]);
}

/* "--socket PATH VERB ...": a server does it. Return: how many arguments that is, 0: none */
static int by_server(int argc, char **argv, const char **ret_socket)
{
	static const char name[] = "--socket";

	if (argc > 2 && strcmp(argv[1], name) == 0) {
		*ret_socket = argv[2];
		return 2;
	}
	if (argc > 1 && strncmp(argv[1], "--socket=", sizeof(name)) == 0) {
		*ret_socket = argv[1] + sizeof(name);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct cli cli = {.log = stderr};
	const char *socket;
	int n = by_server(argc, argv, &socket);

	argc -= n;
	argv += n;
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
	if (n)
		return client_command(&cli, socket, argc - 1, argv + 1);
	return cli_run(&cli, argc - 1, argv + 1);
}
