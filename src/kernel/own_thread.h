/*
 * own_thread.h - doing something in our process, with other ids, groups or directories for the moment.
 *
 * The kernel writes down who makes some calls: the process. Ids, groups and capabilities are those of the
 * thread, though (credentials(7)), so a thread that ends can have others than its process.
 */
#ifndef CKPT_KERNEL_OWN_THREAD_H
#define CKPT_KERNEL_OWN_THREAD_H

#include <pthread.h>
#include <signal.h>

/**
 * own_thread_start() - a thread with all signals blocked: no handler of the program runs in it
 * @ret_mask: the signal mask of the caller, which is as before; known when the thread begins
 * Return: 0; -errno
 */
int own_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg, sigset_t *ret_mask);

/**
 * own_thread_run() - have a function run by a thread of its own, and wait until that is gone
 * Its working directory, root and umask are its own; ids that it changes by system calls (not by libc's
 * functions, which change them for all threads) are, too. All signals are blocked.
 * Return: what @fn returns; -errno where there can be no thread, and @fn has not run.
 */
int own_thread_run(int (*fn)(void *arg), void *arg);

#endif
