/*
 * pty.h - pseudo terminals: what the dump (pty.c) and the restore (pty_open.c, pty_relay.c) share.
 */
#ifndef CKPT_RES_FILE_PTY_H
#define CKPT_RES_FILE_PTY_H

#include "proto/pty.pb-c.h"
#include "res/file/files.h"

/** pty_open() - file_ops.open of a master or a slave */
int pty_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

/** pty_opened_all() - file_ops.opened_all: what would have kept others from being opened */
int pty_opened_all(struct open_ctx *o, const struct model_rec *rec, int fd);

/**
 * pty_open_master() - a new terminal with the settings of a master's record
 * @any: of any number, if that of the record is taken
 * Return: its master, non-blocking, owned by the caller; negative after op_fail().
 */
int pty_open_master(struct open_ctx *o, const Ckpt__Pty *m, uint32_t flags, bool any);

/**
 * pty_open_slave() - one more description of a slave
 * @m: of which path and flags matter
 * Return: owned by the caller; negative after op_fail().
 */
int pty_open_slave(struct open_ctx *o, const Ckpt__Pty *m, int master, uint32_t flags);

/**
 * pty_relay_open() - the terminal for a session of the tree, which this command passes on (plan.relay)
 * With the settings and size that the one outside had, and its number if that is free.
 * Return: 0; negative after op_fail().
 */
int pty_relay_open(struct open_ctx *o);

#endif
