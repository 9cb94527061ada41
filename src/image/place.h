/*
 * place.h - where a new image is written, and the one rename that makes it visible.
 *
 * Where the wanted directory does not exist, all files go into a temporary directory beside it,
 * which is renamed at the end. Where it does, it may hold other files: then the files get
 * temporary names inside it, and the rename of the manifest is what counts. An advisory lock
 * (flock(2)) on either directory keeps a second writer out, and tells the living from the dead:
 * leftover.h.
 */
#ifndef CKPT_IMAGE_PLACE_H
#define CKPT_IMAGE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/op.h"

/* A directory that was made on the way to the goal. */
struct place_made {
	int parent_fd;
	char *name;
};

struct place {
	char *path;    /* as it was asked for, for messages */
	int dir_fd;    /* where the files are made */
	bool locked;   /* the goal was there, and is ours alone */
	int parent_fd; /* of the goal; -EBADF where the goal was there */
	char *base;    /* name of the goal in parent_fd, or NULL */
	char *tmp;     /* name of the temporary directory in parent_fd, or NULL */
	struct place_made *made;
	size_t n_made, cap_made;
};

/**
 * place_open() - find or make the directory to write into
 * @token: a number that no other writer has
 * @ret:   ended by place_publish() and place_done(), or by place_undo(); untouched on failure
 * Return: 0; negative after op_fail(), nothing is left behind.
 */
int place_open(struct ckpt_op *op, const char *path, uint64_t token, struct place *ret);

/** place_is_new() - whether the goal did not exist, so that place_publish() has something to do */
bool place_is_new(const struct place *p);

/**
 * place_publish() - rename the temporary directory to its goal
 * @sync: fsync(2) the parent afterwards; a failure of that is only a warning
 * Return: 0, also where there is nothing to do; negative after op_fail(), @p unchanged.
 */
int place_publish(struct ckpt_op *op, struct place *p, bool sync);

/** place_done() - free, leave everything where it is */
void place_done(struct place *p);

/** place_undo() - remove the (empty) directories that were made, then place_done() */
void place_undo(struct place *p);

/**
 * rename_excl() - renameat(2) that does not replace
 * Where the file system has no RENAME_NOREPLACE, it looks first: a race remains there.
 * Return: 0; -EEXIST; -errno.
 * Source: renameat2(2), Linux >= 3.15.
 */
int rename_excl(int old_fd, const char *old_name, int new_fd, const char *new_name);

#endif
