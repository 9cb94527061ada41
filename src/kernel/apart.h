/*
 * apart.h - do something that our death must not break off.
 *
 * It is done by a process that shares our memory and files and nothing else: it blocks every signal
 * and leads a session of its own, so that neither a SIGKILL to us nor one to our group reaches it.
 * Only a SIGKILL that is meant for that process itself could break it off.
 */
#ifndef CKPT_KERNEL_APART_H
#define CKPT_KERNEL_APART_H

/**
 * apart() - run fn(arg) in such a process, and wait until it has ended
 * @fn: short; a lock of libc that another thread of ours holds when we are killed is never given back, so it
 * asks for memory at most where no other thread does. It returns 0 or -errno
 * Return: of @fn; -ECHILD that process was killed; -errno of clone(2), and nothing was done.
 * Source: clone(2) CLONE_VM, CLONE_VFORK.
 */
int apart(int (*fn)(void *arg), void *arg);

/**
 * apart_files() - the same, in a process that has a copy of our descriptors: what it does to their numbers,
 * it does to none of ours
 * Return: as apart().
 */
int apart_files(int (*fn)(void *arg), void *arg);

#endif
