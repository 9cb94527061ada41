/*
 * enter.h - a dump of a tree that was restored with --pidns: done in its pid and mount namespaces, by the pids
 * that it sees itself, so that the image is as the first one was.
 */
#ifndef CKPT_DUMP_ENTER_H
#define CKPT_DUMP_ENTER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/proxy.h"

struct enter {
	struct ckpt_op *op;
	pid_t pid; /* of the tree's root, outside */
	const char
		*path; /* that has to be the same there as here; need not exist yet; NULL: none */
	/* In the namespaces: does it for the pid there, and ends with proxy_end(). */
	void (*inside)(void *arg, struct proxy *p, pid_t pid);
	/* Here: what proxy_end() was given, and kinds from WIRE_OWN on, see proxy_hear(). */
	int (*take)(void *arg, const struct wire_msg *m);
	void *arg;
};

/**
 * enter_wanted() - whether a process is in a pid namespace that restore --pidns has made
 * And in no other namespace that we are not in, but that of its mounts.
 */
bool enter_wanted(pid_t pid);

/** enter_run() - do it. Return: 0; negative after op_fail() */
int enter_run(struct enter *e);

#endif
