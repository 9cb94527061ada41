/*
 * epoll.h - between the two halves of the resource epoll: dump and restore.
 */
#ifndef CKPT_RES_FILE_EPOLL_H
#define CKPT_RES_FILE_EPOLL_H

#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"

/* Of an item: no task can add it, as the list or the member is only in flight. */
#define EPOLL_NOBODY (-1)

/** epoll_open() - file_ops.open of an interest list */
int epoll_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

/** epoll_plan_each() - file_ops.plan_each of an interest list */
void epoll_plan_each(struct plan *p, enum plan_phase phase, const struct model_rec *rec,
	const struct file_holder *h, struct prog *prog);

/** epoll_adrift() - file_ops.adrift of an interest list */
void epoll_adrift(struct plan *p, const struct model_rec *rec, struct prog *prog);

#endif
