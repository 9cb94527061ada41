/*
 * ipc.h - objects that live in an IPC namespace and outlive who made them: System V shared memory,
 * semaphores and message queues; POSIX message queues.
 *
 * At a restore such an object may still be there, untouched, in use by others, or replaced by another
 * with the same id; or it is gone, and is made anew with its id, key, owner and creator.
 */
#ifndef CKPT_RES_IPC_IPC_H
#define CKPT_RES_IPC_IPC_H

#include <sys/ipc.h>

#include "kernel/sysvipc.h"
#include "proto/ipcperm.pb-c.h"
#include "res/res.h"

struct file_look;

extern const struct res res_sysvshm, res_sysvsem, res_sysvmsg;

/** ipc_perm() - a message of what the kernel says of an object. Return: owned by the caller; NULL */
Ckpt__IpcPerm *ipc_perm(int id, const struct ipc_perm *perm);

/** ipc_perm_put() - the owner and the mode of the image, for IPC_SET. Return: whether they differ */
bool ipc_perm_put(const Ckpt__IpcPerm *m, struct ipc_perm *perm);

/**
 * ipc_make() - make an object with the id, key and creator of the image; noted for ipc_made_done()
 * @what: "System V shared memory"
 * @creator: its pid, 0: not known
 * @get: makes it, see sysvipc_make()
 * Return: 0; negative after op_fail().
 */
int ipc_make(struct plan *p, enum sysvipc_kind kind, const char *what, const Ckpt__IpcPerm *m,
	pid_t creator, int (*get)(const void *arg), const void *arg);

/** ipc_made_queue() - note a POSIX message queue that was made; removed at once on failure. 0; -ENOMEM */
int ipc_made_queue(struct plan *p, const char *name);

/** ipc_taken() - op_fail(): the id belongs to another object now */
int ipc_taken(struct plan *p, enum sysvipc_kind kind, const char *what, const Ckpt__IpcPerm *m);

/** ipc_asks() - whether this task is the one that looks for what the tree uses (--sysvipc) */
bool ipc_asks(const struct collect *c);

/** ipc_user_inside() - whether a process that has used an object is of the tree */
bool ipc_user_inside(const struct collect *c, pid_t pid);

/** ipc_user_outside() - whether a process that has used an object is alive, and not of the tree */
bool ipc_user_outside(const struct collect *c, pid_t pid);

/** ipc_user_now() - the number of who has used an object that is still there, as the plan has it */
pid_t ipc_user_now(const struct plan *p, pid_t pid);

/** ipc_user_alive() - whether there is such a process now, and not this one */
bool ipc_user_alive(pid_t pid);

/**
 * ipc_user_unseen() - whether an object that is there may have been used since by somebody we don't see
 * That is so in a pid namespace of its own (--pidns): the kernel says 0 of who is outside of it.
 * @was: who had used it at the dump
 */
bool ipc_user_unseen(const struct plan *p, pid_t was, pid_t now);

/** ipc_made_done() - forget what was made; a restore that failed takes it away again */
void ipc_made_done(struct plan *p, bool failed);

/** sysvshm_is() - whether a mapped file is a segment */
bool sysvshm_is(const struct file_look *l);

#endif
