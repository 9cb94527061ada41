/*
 * /proc/PID/timers: the POSIX timers of a process, with their ids.
 *
 * The file has no times: what remains until the next expiry, the interval and the overrun count are
 * known only to timer_gettime(2) and timer_getoverrun(2) inside the process.
 */
#ifndef CKPT_KERNEL_PROC_TIMERS_H
#define CKPT_KERNEL_PROC_TIMERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_timer {
	int id;
	int sigev_signo;
	uint64_t sigev_value;
	int sigev_notify; /* SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD or SIGEV_THREAD_ID */
	pid_t target;     /* SIGEV_THREAD_ID: the thread, else the process; in /proc's namespace */
	int clock;        /* clockid_t; negative for a CPU-time clock */
};

/**
 * proc_timers_parse() - parse the text of a timers file
 * @text:  NUL-terminated
 * @ret:   caller frees; ascending by id (the kernel lists the newest first); untouched on failure
 * Return: 0; -EBADMSG malformed; -ENOMEM.
 * Source: proc(5), Linux fs/proc/base.c show_timer(), since 3.10.
 */
int proc_timers_parse(const char *text, struct proc_timer **ret, size_t *ret_n);

/**
 * proc_timers_read() - read and parse
 * Return: 0; -ESRCH gone; -EACCES no ptrace access; -EBADMSG; -ENOMEM; -errno.
 */
int proc_timers_read(int procfd, struct proc_timer **ret, size_t *ret_n);

#endif
