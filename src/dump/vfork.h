/*
 * vfork.h - processes that can't be stopped, as they wait in vfork(2) for their child.
 *
 * Such a thread sleeps so deeply that only a SIGKILL wakes it, until the child has called execve(2) or
 * has ended. Most do so at once.
 */
#ifndef CKPT_DUMP_VFORK_H
#define CKPT_DUMP_VFORK_H

#include "core/op.h"

/** vfork_is_waiting() - whether a thread of a process waits so. @proc_fd: of the process, in /proc */
bool vfork_is_waiting(int proc_fd, pid_t tid);

/**
 * vfork_wait() - let the children of vfork of a process come to their execve
 * Return: 0 no thread of it waits any more; negative after op_fail(), naming both, when it takes too long
 */
int vfork_wait(struct ckpt_op *op, pid_t pid);

/** vfork_refuse() - Return: 0 no thread of it waits; negative after op_fail(), naming both */
int vfork_refuse(struct ckpt_op *op, pid_t pid);

#endif
