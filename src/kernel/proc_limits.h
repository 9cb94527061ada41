/*
 * /proc/PID/limits: the resource limits of a process, without the privilege that prlimit(2) wants
 * for a process of another user even to read them.
 */
#ifndef CKPT_KERNEL_PROC_LIMITS_H
#define CKPT_KERNEL_PROC_LIMITS_H

#include <stdint.h>

#define PROC_LIMITS 16 /* RLIM_NLIMITS */

struct proc_limits {
	/* By RLIMIT_*; UINT64_MAX is RLIM_INFINITY. Units as of getrlimit(2). */
	struct {
		uint64_t soft, hard;
	} v[PROC_LIMITS];
};

/**
 * proc_limits_parse() - parse the text of a limits file
 * @text:  NUL-terminated
 * @ret:   untouched on failure; owns nothing
 * Return: 0; -EBADMSG malformed, or one of the 16 limits is missing.
 * Source: proc(5), Linux fs/proc/base.c proc_pid_limits().
 */
int proc_limits_parse(const char *text, struct proc_limits *ret);

/** proc_limits_read() - read and parse. Return: 0; -ESRCH gone; -EBADMSG; -ENOMEM; -errno. */
int proc_limits_read(int procfd, struct proc_limits *ret);

/** proc_limits_name() - "RLIMIT_NOFILE" of 7. Return: static; NULL for an unknown number. */
const char *proc_limits_name(unsigned int resource);

#endif
