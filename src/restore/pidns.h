/*
 * pidns.h - a restore in a fresh pid namespace, where the tree sees its old pids whoever has them outside.
 *
 * The command loads the image and forks the coordinator into the namespace. There everything that speaks of
 * pids (clone3, ptrace, /proc, kcmp, F_SETOWN, credentials) means those of the image, so the stages run
 * unchanged. The root is made as a sibling of the coordinator, a child of the command: that waits for it,
 * passes signals and the terminal on, by the pids outside, as after any restore.
 *
 *	command (outside) -+- coordinator (ends when the tree runs)
 *	                   +- root of the tree ...
 *	(its parent ends at once) - init, pid 1 (pidns_init.h)
 */
#ifndef CKPT_RESTORE_PIDNS_H
#define CKPT_RESTORE_PIDNS_H

#include <signal.h>

#include "core/proxy.h"
#include "model/model.h"
#include "restore/front.h"
#include "restore/pidns_init.h"
#include "restore/relay.h"
#include "restore/run.h"

struct pidns {
	struct ckpt_op *op;
	const struct model *model;
	pid_t root;          /* inside */
	struct front *front; /* it has begun; or NULL: nobody waits for the root */
	struct relay *relay;
	struct ckpt_restore_result *ret;
	int (*inside)(void *arg); /* what the coordinator does; fills *ret of its own memory */
	int (*ready)(
		void *arg); /* in the command: all is there, root_outside is known. 0; or negative after op_fail() */
	void *arg;

	/* private */
	struct pidns_shared *shared;
	struct proxy proxy; /* its child is the coordinator */
	int init_wire, init_fd;
	pid_t root_outside, init, foreground;
	size_t cap_pids;
	sigset_t mask; /* of the coordinator */
};

/**
 * pidns_run() - make the namespace, have @ns->inside called in a process of it
 * Return, in the command only: 0 the tree runs, *ns->ret is filled; negative after op_fail(), nothing is left.
 */
int pidns_run(struct pidns *ns);

/**
 * pidns_ready() - in the coordinator: all tasks are made and stopped, the command may take over
 * @foreground: the process group of the tree that is to have the terminal; 0: none
 * Return: 0 they may run; negative after op_fail().
 */
int pidns_ready(struct pidns *ns, const struct run *r, pid_t foreground);

#endif
