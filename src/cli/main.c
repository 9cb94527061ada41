/*
 * main.c - the command: what stands before the verb.
 */
#include "cli/client.h"

#include <string.h>

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
