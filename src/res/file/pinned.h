/*
 * pinned.h - a program of eBPF that is pinned, in a record and out of it.
 */
#ifndef CKPT_RES_FILE_PINNED_H
#define CKPT_RES_FILE_PINNED_H

#include "res/file/files.h"

struct Ckpt__BpfProg;

/**
 * pinned_record() - the record of a program
 * @id: of the kernel
 * @ret: owned by the caller; untouched on failure
 * Return: 0; -ENOENT it is pinned nowhere; -ENOMEM; -errno.
 */
int pinned_record(uint32_t id, struct Ckpt__BpfProg **ret);

/** pinned_open() - have it again. @what: uses it, for an error. Return: owned by the caller; negative after op_fail() */
int pinned_open(struct open_ctx *o, const struct Ckpt__BpfProg *m, const char *what);

#endif
