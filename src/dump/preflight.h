/*
 * preflight.h - a look at a running process and its descendants before anything of them is touched.
 *
 * It finds what a dump can't save yet, all of it at once, from /proc alone: no process is stopped or
 * traced, and all run on while they are looked at. So a look is a forecast: what is opened, mapped or
 * forked after it is found by the dump itself. `ckpt explain` prints the same look in more
 * depth.
 *
 * Cost: about 6 us per descriptor, 5 us per thread, 1 us per mapping; well under a millisecond for
 * a small process. The deeper look adds a walk over the page tables (smaps) and a read per thread.
 */
#ifndef CKPT_DUMP_PREFLIGHT_H
#define CKPT_DUMP_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"

struct fdpolicy;

/* A thread of libckpt, see notify_page.h. */
struct preflight_listener {
	pid_t pid, tid;
	uintptr_t page;
};

struct preflight_report {
	struct ckpt_explain_result r; /* items; saved ones are only counted unless deep */
	size_t cap;
	bool deep;
	pid_t *pids; /* of all that were looked at */
	size_t n_pids;
	struct preflight_listener *listeners;
	size_t n_listeners, cap_listeners;
};

/**
 * preflight() - look at a tree as a dump does: fast, keeping only what is warned of or refused
 * @pid:  of its root, in the caller's pid namespace
 * @policy: what the user says of descriptors, or NULL; what is used of it is noted
 * @ret:  caller frees with preflight_done(), also after a failure
 * A descendant that ends meanwhile is passed over.
 * Return: 0, whatever was found; negative after op_fail(): no such process (CKPT_E_TARGET), not
 * permitted (CKPT_E_PRIVILEGE), or a system call failed
 */
int preflight(struct ckpt_op *op, pid_t pid, struct fdpolicy *policy, struct preflight_report *ret);

/** preflight_deep() - the same, in depth, keeping what would be saved too */
int preflight_deep(
	struct ckpt_op *op, pid_t pid, struct fdpolicy *policy, struct preflight_report *ret);

struct collect;
struct file_look;

/** preflight_refused() - the kind of a description that can't be saved. Return: static; NULL: it can */
const char *preflight_refused(const struct collect *c, const struct file_look *f);

/**
 * preflight_refuse() - turn what is refused into the error of the operation
 * What is only warned of goes into the log at info level, what is saved (of a deep look) at debug level.
 * Return: 0 when nothing is refused; negative after op_fail(CKPT_E_REFUSED) naming all offenders
 */
int preflight_refuse(struct ckpt_op *op, const struct preflight_report *report);

/** preflight_done() - free what the report owns; it may be all zero */
void preflight_done(struct preflight_report *report);

#endif
