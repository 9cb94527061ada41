/*
 * /proc/locks: the locks and leases of the whole machine.
 */
#ifndef CKPT_KERNEL_PROC_LOCKS_H
#define CKPT_KERNEL_PROC_LOCKS_H

#include <stdbool.h>

/** proc_locks_parse() - whether the text of /proc/locks has a lease that is being broken */
bool proc_locks_parse(const char *text);

/**
 * proc_locks_breaking() - whether somebody's lease is being broken at this moment
 * A lease whose owner is not of our pid namespace is not shown there.
 * Return: true also where it can't be told.
 * Source: proc(5), Linux fs/locks.c lock_get_status().
 */
bool proc_locks_breaking(void);

#endif
