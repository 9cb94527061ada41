/*
 * /proc/PID/stat and /proc/PID/task/TID/stat: one line of numbers behind the command's name.
 *
 * The name is not escaped: it may hold blanks, parentheses and newlines, so it ends at the last
 * closing parenthesis of the text. The addresses of the memory layout and the exit code are 0 for
 * a reader without ptrace access (start_code and end_code are then 1).
 */
#ifndef CKPT_KERNEL_PROC_STAT_H
#define CKPT_KERNEL_PROC_STAT_H

#include <stdint.h>
#include <sys/types.h>

/* Bits of struct proc_stat.flags (include/linux/sched.h), stable since long. */
#define PROC_PF_IO_WORKER  0x00000010 /* io_uring worker: listed, but not a thread of the program */
#define PROC_PF_EXITING    0x00000004
#define PROC_PF_FORKNOEXEC 0x00000040
#define PROC_PF_KTHREAD    0x00200000

struct proc_stat {
	pid_t pid;
	char comm[64];
	char state; /* R S D T t Z X I */
	pid_t ppid, pgrp, session;
	int tty_nr; /* device number of the controlling terminal, 0 for none */
	pid_t tpgid;
	uint32_t flags; /* PROC_PF_* */
	uint64_t utime_ticks, stime_ticks;
	int nice;
	uint32_t num_threads;
	uint64_t starttime_ticks; /* since boot, in clock ticks (sysconf(_SC_CLK_TCK)) */
	uint64_t vsize_bytes;
	uint64_t start_code, end_code, start_stack;
	int exit_signal;
	int processor;
	uint32_t rt_priority, policy;
	uint64_t start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int exit_code; /* as of wait(2): signal in bits 0-6, status in 8-15 */
};

/**
 * proc_stat_parse() - parse the text of a stat file
 * @text:  NUL-terminated
 * @ret:   untouched on failure; owns nothing
 * Return: 0; -EBADMSG not such a text (fewer than the 52 fields of Linux 3.5).
 * Source: proc(5), Linux fs/proc/array.c do_task_stat().
 */
int proc_stat_parse(const char *text, struct proc_stat *ret);

/**
 * proc_stat_read() - read and parse
 * @procfd:  /proc/PID
 * @tid:     a thread, or 0 for the process
 * Return: 0; -ESRCH gone; -EBADMSG; -errno of open(2) or read(2).
 */
int proc_stat_read(int procfd, pid_t tid, struct proc_stat *ret);

/** proc_stat_of() - the same of a pid or tid, whoever has it now. Return: as proc_stat_read() */
int proc_stat_of(pid_t pid, struct proc_stat *ret);

/**
 * proc_stat_until_stopped() - wait until all threads of a process stand, as stopped ones do
 * A stopped thread that was traced runs a few instructions of the kernel before it stands again.
 * @deadline_ns: CLOCK_MONOTONIC
 * Return: 0 they do, or have ended; -ETIMEDOUT
 */
int proc_stat_until_stopped(pid_t pid, uint64_t deadline_ns);

#endif
