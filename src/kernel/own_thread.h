/*
 * own_thread.h - doing something in our process, with other ids, groups or directories for the moment.
 *
 * The kernel writes down who makes some calls: the process. Ids, groups and capabilities are those of the
 * thread, though (credentials(7)), so a thread that ends can have others than its process.
 */
#ifndef CKPT_KERNEL_OWN_THREAD_H
#define CKPT_KERNEL_OWN_THREAD_H

/**
 * own_thread_run() - have a function run by a thread of its own, and wait until that is gone
 * Its working directory, root and umask are its own; ids that it changes by system calls (not by libc's
 * functions, which change them for all threads) are, too. All signals are blocked.
 * Return: what @fn returns; -errno where there can be no thread, and @fn has not run.
 */
int own_thread_run(int (*fn)(void *arg), void *arg);

#endif
