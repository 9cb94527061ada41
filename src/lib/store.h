/*
 * store.h - the quota of the store, for whoever adds to it.
 */
#ifndef CKPT_LIB_STORE_H
#define CKPT_LIB_STORE_H

#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"

/**
 * store_admits() - whether a checkpoint of a process could be kept at all, before anything is done
 * @ret_quota: bytes that the store may have; 0: no limit
 * Return: 0; negative after op_fail().
 */
int store_admits(struct ckpt_op *op, pid_t pid, uint64_t *ret_quota);

/**
 * store_keep_to() - remove the oldest that nobody needs until the rest is no larger than the quota
 * @quota:  0: nothing is done
 * @spared: crid of one that stays
 * What fails is not an error: the next one tries again.
 */
void store_keep_to(struct ckpt_op *op, uint64_t quota, uint64_t spared);

#endif
