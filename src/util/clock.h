/*
 * Clocks, and units of time.
 */
#ifndef CKPT_UTIL_CLOCK_H
#define CKPT_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL

/**
 * clock_ns() - a clock in nanoseconds
 * @clock: one that is always there, of clock_gettime(2)
 */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/** now_ns() - CLOCK_MONOTONIC in nanoseconds */
static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif
