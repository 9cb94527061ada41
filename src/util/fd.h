/*
 * File descriptors: closing, whole reads and writes, whole files.
 *
 * The kernel may move fewer bytes than asked for, and may be interrupted; callers here want all
 * bytes or an error. Files of /proc report a size of 0 and are generated while they are read, so a
 * whole file is read until the end is seen, never sized beforehand.
 */
#ifndef CKPT_UTIL_FD_H
#define CKPT_UTIL_FD_H

#include <stddef.h>
#include <sys/types.h>

/**
 * fd_close() - close a descriptor that may be empty
 * @fd:   a descriptor, or any negative value (nothing is done)
 * errno is kept.
 * Return: -EBADF always, so that `fd = fd_close(fd);` leaves the empty value.
 */
int fd_close(int fd);

/**
 * read_full() - read exactly @len bytes from the current position
 * @fd:   open for reading
 * @buf:  @len bytes; partly written on failure
 * Return: 0; -ENODATA the file ended before; -errno of read(2).
 */
int read_full(int fd, void *buf, size_t len);

/**
 * write_full() - write all @len bytes at the current position
 * Return: 0; -errno of write(2) (-EIO where the kernel accepts nothing and says nothing).
 */
int write_full(int fd, const void *buf, size_t len);

/**
 * pread_full() - read exactly @len bytes at @offset; the file position stays
 * Return: 0; -ENODATA the file ended before; -errno of pread(2).
 */
int pread_full(int fd, void *buf, size_t len, off_t offset);

/**
 * pwrite_full() - write all @len bytes at @offset; the file position stays
 * Return: 0; -errno of pwrite(2).
 */
int pwrite_full(int fd, const void *buf, size_t len, off_t offset);

/**
 * fd_read_all() - read from the current position to the end
 * @fd:       open for reading
 * @ret:      caller frees; one NUL byte follows the contents; untouched on failure
 * @ret_len:  bytes without that NUL; may be NULL
 * Return: 0; -ENOMEM; -errno of read(2).
 */
int fd_read_all(int fd, char **ret, size_t *ret_len);

/**
 * file_read_at() - read a whole file
 * @dirfd:    directory, or AT_FDCWD
 * @path:     relative to @dirfd
 * @ret:      caller frees; one NUL byte follows the contents; untouched on failure
 * @ret_len:  bytes without that NUL; may be NULL
 * Return: 0; -ENOMEM; -errno of openat(2) or read(2).
 */
int file_read_at(int dirfd, const char *path, char **ret, size_t *ret_len);

/**
 * link_read_at() - read a symbolic link of any length
 * @dirfd:  directory, or AT_FDCWD
 * @path:   relative to @dirfd; "" reads a link that is open as O_PATH
 * @ret:    caller frees; NUL-terminated; untouched on failure
 * Return: 0; -ENOMEM; -errno of readlinkat(2).
 */
int link_read_at(int dirfd, const char *path, char **ret);

/**
 * fd_path() - the kernel's name of an open file of this process
 * @fd:   any open descriptor
 * @ret:  caller frees; a path, possibly with " (deleted)", or "pipe:[1]" and the like
 * Return: 0; -ENOMEM; -EBADF not open; -errno of readlink(2).
 * Source: proc(5) /proc/PID/fd.
 */
int fd_path(int fd, char **ret);

/** fd_limit_raise() - as many descriptors for us as the hard limit allows */
void fd_limit_raise(void);

#endif
