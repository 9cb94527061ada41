/*
 * The children of a process.
 *
 * A child hangs on the thread that forked it, and is listed in that thread's file
 * (/proc/PID/task/TID/children, Linux >= 3.5, with CONFIG_PROC_CHILDREN). Where the kernel has no such
 * file, every process of the machine is asked for its parent. A list of a process that runs is a
 * snapshot of no single instant, and may miss some.
 */
#ifndef CKPT_KERNEL_PROC_CHILDREN_H
#define CKPT_KERNEL_PROC_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Pids, in the order in which the children were made, thread by thread. */
struct proc_children {
	pid_t *v;
	size_t n, cap;
};

/**
 * proc_children_of() - append the children that one thread has forked
 * @procfd:  /proc/PID
 * @ret:     caller releases with proc_children_done()
 * A thread that has ended has none.
 * Return: 0; -ENOENT the kernel has no such lists; -ENOMEM; -errno of open(2) or read(2).
 */
int proc_children_of(int procfd, pid_t tid, struct proc_children *ret);

/**
 * proc_children_of_all() - append the children of many threads of one process, in their order
 * Return: as proc_children_of(), the first failure.
 */
int proc_children_of_all(int procfd, const pid_t *tids, size_t n, struct proc_children *ret);

/**
 * proc_children_scan() - append the children of a process, by a look at all processes
 * @pid:  as seen by the mounted /proc
 * Return: 0; -ENOMEM; -errno of open(2) or getdents(2).
 */
int proc_children_scan(pid_t pid, struct proc_children *ret);

void proc_children_done(struct proc_children *c);

/** proc_children_any() - whether this process has a child, running or not waited for yet */
bool proc_children_any(void);

#endif
