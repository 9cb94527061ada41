/*
 * hook.h - programs of the user's that are called at points of a dump and of a restore.
 *
 * A hook is told where we are by its environment (CKPT_POINT, CKPT_PID, ...) and, with the same names without
 * CKPT_ and in small letters, by one JSON object on its stdin. Another end than exit status 0 ends
 * the operation as any failure does; behind the last point nothing can be ended any more, and it is a warning.
 */
#ifndef CKPT_CORE_HOOK_H
#define CKPT_CORE_HOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"

#define HOOK_LIMIT_S 30 /* where the request says nothing */

enum hook_point {
	HOOK_BEFORE_DUMP,     /* nothing has been looked at */
	HOOK_DUMP_STOPPED,    /* all is saved, the image is not in place yet */
	HOOK_AFTER_DUMP,      /* done, or failed */
	HOOK_BEFORE_RESTORE,  /* the image has been read and checked */
	HOOK_RESTORE_STOPPED, /* all is there, and nothing runs yet */
	HOOK_AFTER_RESTORE    /* it runs, or failed */
};

/** What hooks are called for, and told. */
struct hooks {
	struct ckpt_op *op;
	const char *const *v; /* "[POINT=]FILE", ends with NULL; or NULL: there are none */
	uint64_t limit_s;     /* for each call; 0: HOOK_LIMIT_S */
	pid_t pid;            /* of the root */
	uint64_t crid;
	const char *dir;
	uint32_t tasks, threads; /* 0: not known yet */
	uint64_t bytes; /* of the image, or of the memory that was restored; 0: not known yet */
};

/** hooks_any() - Return: whether there is something to call at all */
static inline bool hooks_any(const struct hooks *h)
{
	return h->v && h->v[0];
}

/**
 * hooks_check() - whether all of them are there, before anything is done
 * Return: 0; negative after op_fail().
 */
int hooks_check(const struct hooks *h);

/**
 * hooks_call() - call those of a point, one after the other, until one fails
 * Return: 0; negative after op_fail() naming the hook, the point and how it ended.
 */
int hooks_call(const struct hooks *h, enum hook_point point);

/**
 * hooks_after() - call those of the last point of an operation, all of them, the last one first
 * @target: how the target is now, if the operation has not failed
 * They are told whether it has failed, and why. A failure of theirs is a warning.
 */
void hooks_after(const struct hooks *h, enum hook_point point, enum ckpt_target_state target);

/** hook_dump_wrong() - of the value of an option of dump. Return: NULL, or the static reason why it is no good */
const char *hook_dump_wrong(const char *value);

/** hook_restore_wrong() - the same of restore */
const char *hook_restore_wrong(const char *value);

/** hook_any_wrong() - the same of a verb that does both */
const char *hook_any_wrong(const char *value);

/** hook_file() - Return: the file in such a value */
const char *hook_file(const char *value);

#endif
