/*
 * xattr.h - extended attributes of files that are made anew at a restore: access lists, file capabilities,
 * what a program has noted itself (xattr(7)). Those of a file that keeps its name stay with it.
 */
#ifndef CKPT_RES_FILE_XATTR_H
#define CKPT_RES_FILE_XATTR_H

#include "proto/regfile.pb-c.h"
#include "res/res.h"

/**
 * xattr_collect() - all attributes of a file, but the label that the security module gives it
 * @at: its path below /proc/PID
 * Return: 0, also where the file system has none; negative after op_fail().
 */
int xattr_collect(struct collect *c, const char *at, Ckpt__RegFile *m);

/** xattr_put() - give them to a file; a warning where one can't be */
void xattr_put(struct ckpt_op *op, const Ckpt__RegFile *m, int fd);

#endif
