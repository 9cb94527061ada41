/*
 * parallel.h - the same work for each of many things, by all processors.
 */
#ifndef CKPT_UTIL_PARALLEL_H
#define CKPT_UTIL_PARALLEL_H

#include <stddef.h>

/**
 * parallel_each() - call @each(@arg, i) for every i below @n, in no order, and wait until all is done
 * The caller's thread works too; helpers are made only where the work is worth it, and none where they
 * can't be made. @each is called by several threads at once, each time with another i.
 */
void parallel_each(size_t n, void (*each)(void *arg, size_t i), void *arg);

/** parallel_each_of() - the same for heavier work: for every @worth things there may be a helper */
void parallel_each_of(size_t n, size_t worth, void (*each)(void *arg, size_t i), void *arg);

#endif
