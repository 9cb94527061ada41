/*
 * /proc/PID/task/TID/syscall: the system call that a thread is blocked in.
 *
 * "230 0x0 0x0 0x7ffe... 0x0 0x0 0x7f5a... SP PC"; "running" for a thread on a CPU, and "-1 SP PC" for
 * one that is blocked, but not in a system call. Reading costs about 9 us.
 */
#ifndef CKPT_KERNEL_PROC_SYSCALL_H
#define CKPT_KERNEL_PROC_SYSCALL_H

#include <stdint.h>
#include <sys/types.h>

struct proc_syscall {
	long nr; /* -1: in none, or running */
	uint64_t args[6];
};

/**
 * proc_syscall_parse() - parse the text of a syscall file
 * @text:  NUL-terminated
 * @ret:   untouched on failure
 * Return: 0; -EBADMSG.
 * Source: proc(5); Linux fs/proc/base.c proc_pid_syscall(), CONFIG_HAVE_ARCH_TRACEHOOK.
 */
int proc_syscall_parse(const char *text, struct proc_syscall *ret);

/**
 * proc_syscall_read() - read and parse
 * @tid:  a thread, or 0 for the process
 * Return: 0; -EBADMSG; -errno of open(2) or read(2).
 */
int proc_syscall_read(int procfd, pid_t tid, struct proc_syscall *ret);

#endif
