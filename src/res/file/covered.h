/*
 * covered.h - files that their names do not lead to, because something is mounted over them.
 */
#ifndef CKPT_RES_FILE_COVERED_H
#define CKPT_RES_FILE_COVERED_H

#include <sys/stat.h>

#include "res/file/files.h"

#define COVERED_REASON "it is hidden by a mount, and no other mount leads to it"
#define COVERED_ADVICE "unmount what hides it, or let the program close it"

/** covered_name() - whether a name leads to something else than a file, or nowhere */
bool covered_name(const char *name, const struct stat *st);

/** covered() - the same of a file's name, as /proc shows it; mostly told by l->mounts alone */
bool covered(const struct file_look *l);

/**
 * covered_find() - how else it can be reached
 * @procfd: /proc/PID
 * @ret_mount: directory where some mount of its file system is, by which it is reached
 * @ret_path: from there, not beginning with a slash; both are the caller's to free
 * Return: 0; -ENOENT; -errno: it can't be looked for (-EPERM without CAP_SYS_ADMIN).
 */
int covered_find(int procfd, const struct file_look *l, char **ret_mount, char **ret_path);

/**
 * covered_open() - open a file so
 * Return: a descriptor, owned by the caller; -errno.
 */
int covered_open(const char *mount, const char *path, int flags);

#endif
