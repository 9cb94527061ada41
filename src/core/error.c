/*
 * error.c - the error of an operation: its names and its one line of text.
 */
#include "ckpt.h"

#include <stdlib.h>
#include <string.h>

#include "util/str.h"
#include "util/vec.h"

void ckpt_error_done(struct ckpt_error *e)
{
	if (!e)
		return;
	free(e->object);
	free(e->call);
	free(e->advice);
	*e = (struct ckpt_error){};
}

const char *ckpt_kind_name(enum ckpt_kind kind)
{
	static const char *const names[] = {
		[CKPT_OK] = "ok",
		[CKPT_DIFFERENT] = "different",
		[CKPT_E_SYSTEM] = "system",
		[CKPT_E_USAGE] = "usage",
		[CKPT_E_REFUSED] = "refused",
		[CKPT_E_TARGET] = "target",
		[CKPT_E_IMAGE] = "image",
		[CKPT_E_CONFLICT] = "conflict",
		[CKPT_E_SPACE] = "space",
		[CKPT_E_PRIVILEGE] = "privilege",
		[CKPT_E_CANCELLED] = "cancelled",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

const char *ckpt_target_name(enum ckpt_target_state state)
{
	static const char *const names[] = {
		[CKPT_TARGET_NONE] = "none",
		[CKPT_TARGET_RUNNING] = "running",
		[CKPT_TARGET_STOPPED] = "stopped",
		[CKPT_TARGET_GONE] = "gone",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* The condition of the target, as a part of the line. */
static const char *target_text(enum ckpt_target_state state)
{
	switch (state) {
	case CKPT_TARGET_RUNNING:
		return "the target goes on running, unharmed";
	case CKPT_TARGET_STOPPED:
		return "the target is stopped, unharmed; SIGCONT continues it";
	case CKPT_TARGET_GONE:
		return "the target is gone";
	default:
		return NULL;
	}
}

char *ckpt_error_text(const struct ckpt_error *e)
{
	struct strbuf sb = {};
	char *text;
	const char *target = target_text(e->target);

	strbuf_add(&sb, e->object ? e->object : "failed");
	if (e->call)
		strbuf_addf(&sb, ": %s", e->call);
	if (e->err)
		strbuf_addf(&sb, ": %s", strerror(e->err));
	if (target)
		strbuf_addf(&sb, " (%s)", target);
	if (e->advice)
		strbuf_addf(&sb, "; %s", e->advice);
	/* An object may quote a name of the file system: it stays one line, and moves no cursor. */
	for (size_t i = 0; i < sb.len; i++)
		if ((unsigned char)sb.s[i] < ' ' || sb.s[i] == 0x7f)
			sb.s[i] = '?';
	return strbuf_take(&sb, &text) < 0 ? NULL : text;
}
