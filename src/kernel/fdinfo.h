/*
 * The open descriptors of a process, and /proc/PID/fdinfo/N.
 *
 * The text is parsed once: the lines that every kind of file has go into struct fdinfo, each other
 * line is handed to the caller, which alone knows the kind. A descriptor that is opened O_PATH or
 * was closed meanwhile needs no special care.
 */
#ifndef CKPT_KERNEL_FDINFO_H
#define CKPT_KERNEL_FDINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdinfo {
	int64_t pos;
	uint32_t flags; /* O_*, with O_CLOEXEC of the descriptor */
	int mnt_id;     /* -1 when missing (before Linux 3.15) */
	uint64_t ino;   /* 0 when missing (before Linux 5.14) */
};

/**
 * fdinfo_line_fn - one line that is not in struct fdinfo
 * @key:    "eventfd-count", "tfd", "lock", "settime flags"; the text before a colon that a blank
 *          follows, else the first word ("inotify" of "inotify wd:1 ino:2")
 * @value:  the rest without leading blanks; both may be changed, and live as long as the call
 * @arg:    of fdinfo_parse()
 * Return: 0; a negative value ends the parsing and is returned by it.
 */
typedef int fdinfo_line_fn(char *key, char *value, void *arg);

/**
 * fdinfo_parse() - parse the text of a fdinfo file
 * @text:  NUL-terminated; cut into pieces
 * @ret:   untouched on failure; owns nothing
 * @line:  called in the order of the text; NULL to skip the lines
 * Return: 0; -EBADMSG a common line is malformed, or pos or flags is missing; of @line.
 * Source: proc(5), Linux fs/proc/fd.c seq_show().
 */
int fdinfo_parse(char *text, struct fdinfo *ret, fdinfo_line_fn *line, void *arg);

/**
 * fdinfo_read() - read and parse
 * @procfd:  /proc/PID
 * @fd:      descriptor number in that process
 * Return: 0; -ENOENT not open there, or the process is gone; -EACCES no ptrace access; -EBADMSG;
 *         -ENOMEM; of @line.
 */
int fdinfo_read(int procfd, int fd, struct fdinfo *ret, fdinfo_line_fn *line, void *arg);

/**
 * fdinfo_list() - the descriptor numbers of a process
 * @procfd:  /proc/PID; "task/TID" paths are not needed as threads share the table
 * @ret:     caller frees; ascending; untouched on failure
 * Return: 0; -ENOMEM; -EACCES no ptrace access; -ENOENT gone.
 */
int fdinfo_list(int procfd, int **ret, size_t *ret_n);

#endif
