/*
 * stand_in.h - doing something as another process would: with its number, ids and groups.
 *
 * The kernel writes down who makes some calls (SO_PEERCRED: connect, listen, socketpair), and what it
 * wrote stays when that process is long gone. A stand-in is a child that has the same number and ids,
 * makes the calls, and ends. For our own number it is a thread of ours.
 */
#ifndef CKPT_KERNEL_STAND_IN_H
#define CKPT_KERNEL_STAND_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stand_in {
	pid_t pid;     /* 0: any */
	bool else_any; /* where that can't be had, any will do */
	bool ids;      /* effective ids are to be these; else ours */
	uid_t uid;
	gid_t gid;
	bool groups_too;
	const gid_t *groups;
	size_t n_groups;
};

/**
 * stand_in_run() - have a function run by a stand-in, and wait for it
 * The child shares our descriptors, nothing else: memory is a copy, as after fork(2). Its working
 * directory, root and umask are its own. It keeps the capabilities that we have.
 * A thread of ours shares memory, too.
 * @fn: may call nothing that takes a lock of libc; what it returns, 0 or -errno, is returned
 * Return: of @fn; -EEXIST the number is taken; -EPERM no right to choose it, or to those ids; -errno of
 * clone3(2); -ECHILD it was killed. With else_any the number is no reason.
 * Source: clone3(2) set_tid, Linux >= 5.5.
 */
int stand_in_run(const struct stand_in *who, int (*fn)(void *arg), void *arg);

#endif
