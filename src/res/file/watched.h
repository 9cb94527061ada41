/*
 * watched.h - finding what an inode number and a file handle of fdinfo stand for: of inotify and
 * fanotify, whose marks keep no name.
 */
#ifndef CKPT_RES_FILE_WATCHED_H
#define CKPT_RES_FILE_WATCHED_H

#include "res/file/files.h"

#define WATCHED_HANDLE_MAX 128

#define WATCHED_ADVICE "let the program remove the watch"

/* What a line of fdinfo tells of an inode. */
struct watched {
	uint64_t ino;
	dev_t dev; /* of its file system */
	unsigned handle_bytes, handle_type;
	uint8_t handle[WATCHED_HANDLE_MAX];
};

/** watched_dev() - the kernel's own number of a device, as fdinfo has it, as ours */
dev_t watched_dev(unsigned sdev);

/**
 * watched_parse() - find "ino:%lx sdev:%x ... fhandle-bytes:%x fhandle-type:%x f_handle:..." in a line
 * Return: 0; -EBADMSG. Without a handle, handle_bytes is 0.
 */
int watched_parse(const char *value, struct watched *ret);

/* How many names are looked through for one list, see watched.c. */
#define WATCHED_BUDGET 300000

/**
 * watched_find() - a name of the inode
 * @procfd: /proc/PID of who watches it
 * @budget: how many names may still be looked through; what was used is taken off
 * @ret: caller frees
 * Return: 0; -ENOENT it has none, or none could be found; -errno.
 */
int watched_find(int procfd, const struct watched *w, unsigned *budget, char **ret);

/** watched_is_open() - whether the process has a descriptor of it */
bool watched_is_open(int procfd, const struct watched *w);

/**
 * watched_file() - an open file without a name that it is. Return: its id, 0: none; known in finish()
 */
uint32_t watched_file(const struct model *m, dev_t dev, uint64_t ino);

/** watched_path() - what leads to it at a restore. @path: of watched_find(), or "" with the id */
const char *watched_path(const struct open_ctx *o, const char *path, uint32_t file, char room[48]);

#endif
