/*
 * pidns_numbers.h - numbers for us in a namespace that is to be as the tree knows it.
 */
#ifndef CKPT_RESTORE_PIDNS_NUMBERS_H
#define CKPT_RESTORE_PIDNS_NUMBERS_H

#include <sys/types.h>

#include "model/model.h"

/**
 * pidns_number_free() - a number from which on many are none of a process, thread, group or session of the tree
 * @wish:    where to look first: the number itself, if enough behind it is free
 * @pid_max: larger than any number
 * Return: it; 0 when out of memory.
 */
pid_t pidns_number_free(const struct model *m, pid_t wish, pid_t pid_max);

#endif
