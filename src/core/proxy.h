/*
 * proxy.h - an operation whose work is done by a child that we have forked into other namespaces.
 *
 * What the caller has given (log, progress, the wish to cancel) is the caller's: it is called in the process that
 * the caller knows, which hears of it over the wire. So is the error.
 */
#ifndef CKPT_CORE_PROXY_H
#define CKPT_CORE_PROXY_H

#include "core/op.h"
#include "core/wire.h"

struct proxy {
	struct ckpt_op *op;
	int wire[2]; /* [0] ours, [1] the child's */
	pid_t child; /* 0: there is none */
	int child_fd;
	uint32_t *cancelled; /* shared */
};

/** proxy_new() - before the fork. @ret: released with proxy_done(), also on failure. Return: 0; -errno */
int proxy_new(struct proxy *ret, struct ckpt_op *op);

/** proxy_started() - the child is there. Return: 0; -errno */
int proxy_started(struct proxy *p, pid_t child);

/** proxy_inside() - in the child: from here on p->op speaks to the parent */
void proxy_inside(struct proxy *p);

/** proxy_end() - in the child: tell how it went, with the result as a record if it went well, and end */
void proxy_end(struct proxy *p, const void *result, size_t len, const char *const *strings)
	__attribute__((noreturn));

/**
 * proxy_hear() - in the parent: pass on what the child says, until it has said how it went
 * @take: of WIRE_DONE and of kinds from WIRE_OWN on. Return: 0; negative after op_fail(). It owns m->fd
 * Return: 0; negative after op_fail(), also where the child has died.
 */
int proxy_hear(struct proxy *p, int (*take)(void *arg, const struct wire_msg *m), void *arg);

/** proxy_fail() - op_fail(): somebody does not answer. Return: negative */
int proxy_fail(struct proxy *p, const char *who, int err);

/** proxy_done() - wait for the end of the child, which has been told to end or will by itself */
void proxy_done(struct proxy *p);

#endif
