/*
 * fdpolicy.h - what the user wishes for descriptors that can't be saved, or that lead outside: --fd,
 * --resource, and files of such wishes (--policy).
 */
#ifndef CKPT_RES_FILE_FDPOLICY_H
#define CKPT_RES_FILE_FDPOLICY_H

#include "res/res.h"

/* One wish. */
struct fdpolicy_entry {
	struct plan_override is; /* pid 0: of every task; fd -1: of a kind */
	const char *text;        /* as it was given, borrowed */
	size_t kind_len;         /* of --resource: the length of the kind's name in text */
	bool used;
};

struct fdpolicy {
	struct fdpolicy_entry *v; /* the last word counts */
	size_t n, cap;
	char *file; /* text of the file, into which entries point */
	enum ckpt_unix_outside unix_outside;
	enum ckpt_tcp tcp; /* of a look before a dump */
};

/** fdpolicy_fd_wrong() - Return: NULL; or the static reason why a text is no value of --fd */
const char *fdpolicy_fd_wrong(const char *text);

/** fdpolicy_resource_wrong() - the same of --resource */
const char *fdpolicy_resource_wrong(const char *text);

/**
 * fdpolicy_read() - read all wishes; those of the file come first, so that the command line has the last word
 * @fds, @resources: NULL-terminated, or NULL; borrowed until fdpolicy_done()
 * @file: its path, or NULL
 * @ret: ended by fdpolicy_done(), also after a failure
 * Return: 0; negative after op_fail(), which names the line
 */
int fdpolicy_read(struct ckpt_op *op, const char *const *fds, const char *const *resources,
	const char *file, struct fdpolicy *ret);

/**
 * fdpolicy_of_fd() - the wish for a descriptor of a process
 * A wish for a process that shares the table is one for this, too.
 * Return: NULL: there is none. It is noted as used.
 */
const struct fdpolicy_entry *fdpolicy_of_fd(struct fdpolicy *p, pid_t pid, int fd);

/** fdpolicy_of_kind() - the wish for a kind that would be refused. Return: NULL: there is none. */
const struct fdpolicy_entry *fdpolicy_of_kind(struct fdpolicy *p, const char *kind);

/** fdpolicy_becomes() - what a restore does with a descriptor. Return: static */
const char *fdpolicy_becomes(const struct fdpolicy_entry *e);

void fdpolicy_done(struct fdpolicy *p);

#endif
