/*
 * pty.h - pseudo terminals: what the dump (pty.c) and the restore (pty_open.c) share.
 */
#ifndef CKPT_RES_FILE_PTY_H
#define CKPT_RES_FILE_PTY_H

#include "res/file/files.h"

/** pty_open() - file_ops.open of a master or a slave */
int pty_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

/** pty_opened_all() - file_ops.opened_all: what would have kept others from being opened */
int pty_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd);

#endif
