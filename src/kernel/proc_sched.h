/*
 * /proc/PID/task/TID/sched: when a thread was last put on a CPU.
 *
 * For a thread that sleeps this is when its sleep began, near enough: the one way to learn from
 * outside how much of a restarted sleep has passed. The clock is that of the run queue (not
 * CLOCK_MONOTONIC) and may differ between CPUs by over 500 ms: compare it only with an own reading
 * made while running on the thread's CPU. Reading costs about 56 us.
 */
#ifndef CKPT_KERNEL_PROC_SCHED_H
#define CKPT_KERNEL_PROC_SCHED_H

#include <stdint.h>
#include <sys/types.h>

/**
 * proc_sched_parse() - find se.exec_start
 * @text:  NUL-terminated
 * @ret:   nanoseconds of the run queue's clock; untouched on failure
 * Return: 0; -EBADMSG no such line.
 * Source: Linux kernel/sched/debug.c proc_sched_show_task(), CONFIG_SCHED_DEBUG before 6.15.
 */
int proc_sched_parse(const char *text, uint64_t *ret_exec_start_ns);

/**
 * proc_sched_switches() - find nr_voluntary_switches: how often the thread has gone to sleep, or stopped
 * @text, @ret: as above
 * Return: as above
 */
int proc_sched_switches(const char *text, uint64_t *ret);

/**
 * proc_sched_read() - read and parse
 * @tid:  a thread, or 0 for the process
 * Return: 0; -ENOENT gone, or the kernel has no such file; -EBADMSG; -ENOMEM; -errno.
 */
int proc_sched_read(int procfd, pid_t tid, uint64_t *ret_exec_start_ns);

#endif
