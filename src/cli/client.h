/*
 * client.h - the other side of `ckpt serve`.
 */
#ifndef CKPT_CLI_CLIENT_H
#define CKPT_CLI_CLIENT_H

#include "cli/cli.h"

/**
 * client_call() - one request, and its response
 * @socket:  path, or @NAME
 * @params:  taken; NULL: none
 * @fds:     passed along, or NULL
 * @notified: called with each notification that comes before the response; may be NULL
 * @ret:     the result, or with -1 and no *err the error object of the server; a new reference
 * Return: 0; -1
 */
int client_call(const char *socket, const char *method, json_t *params, const int *fds,
	size_t n_fds, void (*notified)(void *arg, json_t *message), void *arg, json_t **ret,
	struct ckpt_error *err);

/** client_command() - have a whole command done by a server. Return: the exit status */
int client_command(struct cli *cli, const char *socket, int argc, char **argv);

#endif
