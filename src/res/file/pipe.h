/*
 * pipe.h - between the two halves of the resource pipe, dump and restore: pipes of our own, through
 * which contents go without waiting for anybody.
 */
#ifndef CKPT_RES_FILE_PIPE_H
#define CKPT_RES_FILE_PIPE_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "res/file/files.h"
#include "util/cleanup.h"

#define PIPE_BUFFER_MAX 4096U
/* Contents of at most so many bytes are in the record itself. */
#define PIPE_SMALL_BYTES (64UL * 1024)
#define NO_WAIT          (SPLICE_F_NONBLOCK)

struct own_pipe {
	int r, w;
};

static inline void own_close(struct own_pipe *p)
{
	fd_close(p->r);
	fd_close(p->w);
}
#define _cleanup_own_ _cleanup_(own_close)
#define OWN_NONE                                                                                   \
	{                                                                                          \
		-EBADF, -EBADF                                                                     \
	}

/* Return: 0; -errno, and what is open is closed by _cleanup_own_ */
static inline int own_open(struct own_pipe *p, unsigned size_bytes)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*p = (struct own_pipe){fds[0], fds[1]};
	return fcntl(p->w, F_SETPIPE_SZ, size_bytes) < 0 ? -errno : 0;
}

/** pipe_open() - file_ops.open of a pipe */
int pipe_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record);

#endif
