/*
 * error.c - the error of the public interface: its text, and its end.
 *
 * One line that a person can act on: which object, which call, why, what can be done, and how the
 * target was left.
 */
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "util/str.h"

static const char *target_text(enum ckpt_target_state state)
{
	switch (state) {
	case CKPT_TARGET_NONE:
		return NULL;
	case CKPT_TARGET_RUNNING:
		return "the target goes on running, unharmed";
	case CKPT_TARGET_STOPPED:
		return "the target is stopped, unharmed (SIGCONT continues it)";
	case CKPT_TARGET_GONE:
		return "the target is gone";
	}
	return NULL;
}

void ckpt_error_done(struct ckpt_error *e)
{
	if (!e)
		return;
	free(e->object);
	free(e->call);
	free(e->advice);
	memset(e, 0, sizeof(*e));
}

char *ckpt_error_text(const struct ckpt_error *e)
{
	const char *target = target_text(e->target);
	_cleanup_strbuf_ struct strbuf sb = {};
	char *text = NULL;

	strbuf_add(&sb, e->object && *e->object ? e->object : "failed");
	if (e->call)
		strbuf_addf(&sb, ": %s", e->call);
	if (e->err)
		strbuf_addf(&sb, ": %s", strerror(e->err));
	if (e->advice)
		strbuf_addf(&sb, "; %s", e->advice);
	if (target)
		strbuf_addf(&sb, "; %s", target);
	/* An object may quote a name of the file system: it stays one line. */
	for (size_t i = 0; i < sb.len; i++) {
		if (sb.s[i] == '\n')
			sb.s[i] = ' ';
	}
	if (strbuf_take(&sb, &text) < 0)
		return NULL;
	return text;
}
