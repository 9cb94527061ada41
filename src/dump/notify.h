/*
 * notify.h - programs are told before a checkpoint, may say "not now", and are told after it.
 *
 * Who is told: a process with a thread of libckpt, always unless that is not wished; any other that takes
 * the signal CKPT, where --notify asks for it. docs/NOTIFY.md is the contract.
 */
#ifndef CKPT_DUMP_NOTIFY_H
#define CKPT_DUMP_NOTIFY_H

#include "core/op.h"
#include "dump/preflight.h"
#include "res/thread/notify.h"

struct notified;
struct guard;

struct notify {
	struct ckpt_op *op;
	const struct ckpt_dump_req *req;
	uint64_t crid;
	int ckpt, thaw; /* the signals */
	struct notified *v;
	size_t n, cap;
	struct notify_told *told; /* of those: who was told; for the image */
	size_t n_told;
	struct guard *guard; /* tells those that we have told, should we be killed; NULL: none */
};

/**
 * notify_find() - who is to be told
 * @report: of the look at the tree
 * Nothing is done to anybody. Without a process to be told it costs nothing.
 * Return: 0; negative after op_fail().
 */
int notify_find(struct notify *n, const struct preflight_report *report);

/**
 * notify_before() - tell all, and wait until they are ready
 * Return: 0; negative after op_fail(): somebody is not ready in time. All are told what came of it by
 * notify_after(), also then.
 */
int notify_before(struct notify *n);

/**
 * notify_after() - tell those that were told before
 * @err: 0: it is taken, and they go on; ECANCELED: there is none
 */
void notify_after(struct notify *n, int err);

/** notify_done() - forget all; who was told and not told after it stays so */
void notify_done(struct notify *n);

#endif
