/*
 * regfile.h - between the two halves of the resource regfile: dump and restore.
 */
#ifndef CKPT_RES_FILE_REGFILE_H
#define CKPT_RES_FILE_REGFILE_H

#include <fcntl.h>

#include "res/file/files.h"
#include "util/clock.h"

/* What F_GETFL shows of a file that was opened without a name. */
#define TMPFILE_FLAG (O_TMPFILE & ~O_DIRECTORY)

/** regfile_open() - file_ops.open of a regfile */
int regfile_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

static inline uint64_t stat_mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * NS_PER_S + (uint64_t)st->st_mtim.tv_nsec;
}

#endif
