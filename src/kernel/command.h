/*
 * command.h - run a program of the user's beside us, wait for it, and hear what it prints.
 *
 * It is a child of a child that has no exit signal: so nobody else in this process sees a SIGCHLD or a child to
 * wait for, and its status is known also where SIGCHLD is ignored. Both die with the thread that waits for
 * them. It has no descriptor of ours but 0, 1 and 2, no signal blocked or ignored, and a process group of
 * its own.
 */
#ifndef CKPT_KERNEL_COMMAND_H
#define CKPT_KERNEL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command {
	const char *path;      /* as of execve(2): no search in $PATH */
	char *const *argv;     /* argv[0] included; ends with NULL */
	char *const *env;      /* ends with NULL */
	const char *input;     /* what it reads from its stdin */
	size_t input_len;      /* bytes */
	uint64_t limit_ms;     /* it is killed, with its process group, when it takes longer */
	bool (*ended)(void *); /* asked now and then: true, it is killed as well; or NULL */
	/* a line that it printed, without its end; @fd is 1 or 2; or NULL */
	void (*line)(void *arg, int fd, const char *line);
	void *arg; /* of both */
};

#define COMMAND_LINE_MAX 1000 /* bytes of a line; longer ones come in pieces */

/**
 * command_run() - run it, and wait for its end; what it left in the background goes on
 * @ret_status: of wait(2)
 * Return: 0; -ETIMEDOUT and -ECANCELED: it has been killed; else -errno of what failed, execve(2) among it.
 */
int command_run(const struct command *c, int *ret_status);

#endif
