/*
 * Ownership that is visible at the declaration: a variable marked here is released when its
 * scope ends, on every path. An fd is born -EBADF, a pointer NULL; TAKE_FD() and TAKE_PTR() hand
 * the object over and leave the empty value behind.
 *
 * The release functions keep errno, so that `return -errno;` may stand in the same scope.
 */
#ifndef CKPT_UTIL_CLEANUP_H
#define CKPT_UTIL_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/fd.h"

static inline void cleanup_close(const int *fd)
{
	fd_close(*fd);
}

static inline void cleanup_free(void *pptr)
{
	int saved = errno;

	free(*(void **)pptr);
	errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

static inline void cleanup_fclose(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

#define _cleanup_(fn)      __attribute__((__cleanup__(fn)))
#define _cleanup_close_    _cleanup_(cleanup_close)
#define _cleanup_free_     _cleanup_(cleanup_free)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)

/* The value of @var, which is left as @empty. Macros because the type is the variable's own. */
#define TAKE_VALUE(var, empty)                                                                     \
	({                                                                                         \
		__typeof__(var) *take_var_ = &(var);                                               \
		__typeof__(var) take_val_ = *take_var_;                                            \
		*take_var_ = (empty);                                                              \
		take_val_;                                                                         \
	})
#define TAKE_FD(fd)   TAKE_VALUE(fd, -EBADF)
#define TAKE_PTR(ptr) TAKE_VALUE(ptr, NULL)

#endif
