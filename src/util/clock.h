/*
 * Time for measuring durations.
 */
#ifndef CKPT_UTIL_CLOCK_H
#define CKPT_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

/**
 * now_ns() - CLOCK_MONOTONIC in nanoseconds
 */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

#endif
