/*
 * fork_raw.h - a fork of which the C library knows nothing, and perhaps nobody else.
 *
 * Other threads of a program that has us as a library may hold locks of libc, which its fork() would wait for;
 * and the program may have a handler for SIGCHLD, ignore it, or wait for any child. A child without an exit signal
 * sends none, is not reaped by itself where SIGCHLD is ignored, and only a wait with __WALL or __WCLONE finds
 * it. execve(2) would give it one: it makes none (Linux kernel/signal.c do_notify_parent(), fs/exec.c).
 */
#ifndef CKPT_KERNEL_FORK_RAW_H
#define CKPT_KERNEL_FORK_RAW_H

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/**
 * fork_raw() - as fork(2)
 * @exit_signal: 0: none, see above
 * Where we have other threads, the child may call nothing that takes a lock of libc.
 * Return: as of fork(2), with errno.
 */
static inline pid_t fork_raw(int exit_signal)
{
	return (pid_t)syscall(SYS_clone, exit_signal, 0, 0, 0, 0);
}

#endif
