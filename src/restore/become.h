/*
 * become.h - the calling process becomes the root of the tree: `ckpt restore --exec`.
 *
 * As with execve(2): who started it keeps a child with the same pid, parent, session, process group and
 * terminal, and sees how that ends. What the image says of the root's number is changed before (renumber.h).
 *
 * All is prepared by the caller itself, up to the moment in which the root would be made. Then a process is
 * made that goes on as the coordinator, with all that is open and planned, and the caller becomes the agent,
 * as a new root would. The coordinator is no child of it: it is made by one that ends at once, without a signal,
 * and that the caller has waited for.
 */
#ifndef CKPT_RESTORE_BECOME_H
#define CKPT_RESTORE_BECOME_H

#include "restore/spawn.h"
#include "res/res.h"

struct run;

/* All zero: nothing has been given up yet. */
struct become {
	bool coordinator; /* we are the process that was made to be it: nobody is to be returned to */
	pid_t root;       /* who was the caller, and is the root */
	bool held;        /* it waits, stopped, for its end */
	uint64_t syscall_insn; /* of the agent */
};

/**
 * become_prepare() - see that the caller can become the root, and make the image's root that process
 * @b: NULL: the plan is only looked at, so that any caller will do
 * @ret_was: the number of the root in the image
 * Return: 0; negative after op_fail(): CKPT_E_CONFLICT the caller has several threads, or children, or a
 * number that the image needs; or as renumber_root().
 */
int become_prepare(struct ckpt_op *op, struct become *b, struct model *m, struct fdpolicy *policy,
	pid_t *ret_was);

/**
 * become_root() - in the place of spawn_task() and the root's seizure
 * Return: in the coordinator: 0, and the root is traced; or negative after op_fail(), as the root has died. In the
 * caller: negative after op_fail(), and it is what it was. Else the caller does not come back.
 */
int become_root(struct run *r, const struct spawn *s);

/**
 * become_failed() - in the coordinator, before the tree is ended: tell of the first failure, and hold the root
 * It is not to end before all is taken back.
 */
void become_failed(struct run *r);

/**
 * become_tell() - put the root's number where libc keeps it for the first thread
 * The kernel knows the place: it is the word that is cleared at the thread's end (set_tid_address(2)).
 * Return: 0; negative after op_fail().
 */
int become_tell(struct run *r);

/** become_foreground() - a job of the tree that was in the foreground of a terminal outside is in that of this one */
void become_foreground(const struct run *r);

/** become_end() - in the coordinator: nothing is left to do. @status: that a held root is to end with */
void become_end(const struct become *b, int status) __attribute__((noreturn));

#endif
