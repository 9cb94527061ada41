/*
 * fill.h - contents from the page files into new memory and new files.
 */
#ifndef CKPT_RESTORE_FILL_H
#define CKPT_RESTORE_FILL_H

#include "image/image.h"
#include "proto/pages.pb-c.h"
#include "core/op.h"

/**
 * fill_fd() - write the runs of @pages at their places in a file
 * @fd: /proc/PID/mem (writes go past protections), or a file
 * @what: for messages
 * @workers: at most so many threads; each verifies what it reads
 * @ret_bytes: added to; may be NULL
 * Return: 0; negative after op_fail().
 */
int fill_fd(struct ckpt_op *op, const struct image *img, const Ckpt__Pages *pages, int fd,
	const char *what, unsigned workers, uint64_t *ret_bytes);

#endif
