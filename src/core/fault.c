/*
 * fault.c - the table of fault points, and what happens at one: see fault.h.
 */
#include "core/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/str.h"

/* In the order in which a run passes them. */
static const char *const names[] = {
	"dump.seize",
	"dump.tree", /* every task is held */
	"dump.collect",
	"dump.ask",
	"dump.pages",
	"dump.write",
	"dump.commit",
	"dump.rename", /* all files stand, the rename that makes them an image does not */
	"dump.kill",
	"restore.load",
	"restore.open",
	"restore.fork",
	"restore.map",
	"restore.tree", /* of several tasks, when all are there */
	"restore.fill",
	"restore.threads",
	"restore.finish",
	NULL,
};

const char *const *fault_names(void)
{
	return names;
}

static bool known(const char *name)
{
	for (const char *const *n = names; *n; n++) {
		if (str_eq(*n, name))
			return true;
	}
	return false;
}

int fault_point(struct ckpt_op *op, const char *name)
{
	const char *want = secure_getenv("CKPT_FAULT");
	const char *rest;
	int r = op_cancelled(op);

	if (r < 0 || !want || !*want)
		return r;
	/* A test walks the table: a point that is not in it would never be tested. */
	if (!known(name))
		return op_fail(op, CKPT_E_SYSTEM, 0, NULL, "add it to the table of core/fault.c",
			"fault point %s is not in the table", name);
	rest = str_startswith(want, name);
	if (rest && str_eq(rest, ":kill"))
		kill(getpid(), SIGKILL);
	if (!rest || *rest)
		return 0;
	return op_fail(op, CKPT_E_SYSTEM, EIO, name, NULL, "fault point asked for by CKPT_FAULT");
}
