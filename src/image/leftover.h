/*
 * leftover.h - what a writer that was killed has left, found and removed by the next one.
 *
 * A writer holds a lock (flock(2)) on the directory that it writes into, until it ends: the kernel
 * takes the lock away from whoever dies. So what carries the name of a temporary file and has no lock
 * is nobody's. Only names that a writer makes are touched, only in directories and of files that belong
 * to the caller's user, and never on a file system whose locks may not reach every machine that writes there.
 */
#ifndef CKPT_IMAGE_LEFTOVER_H
#define CKPT_IMAGE_LEFTOVER_H

#include "core/op.h"

struct Ckpt__Manifest;

/**
 * leftover_dir_remove() - remove the files of an image, and its directory, of which the caller knows that
 * nobody needs it
 * Return: 0; -errno, -ENOTEMPTY where there is something else in it.
 */
int leftover_dir_remove(int parent_fd, const char *name);

/**
 * leftover_dirs_remove() - remove the temporary directories of dead writers in a directory
 * What was removed, and what could not be, is said in the log; nothing here fails.
 * @parent_fd: the directory, O_PATH will do
 * @path:      of the image that is to be written, for the log
 */
void leftover_dirs_remove(struct ckpt_op *op, int parent_fd, const char *path);

/**
 * leftover_files_remove() - remove the temporary files of dead writers in an image's directory, and
 * the data files that they had put in place already
 * @dir_fd:  the directory, whose lock the caller holds
 * @path:    of the directory, for the log
 */
void leftover_files_remove(struct ckpt_op *op, int dir_fd, const char *path);

#endif
