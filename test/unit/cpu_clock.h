/*
 * cpu_clock.h - for tests of how the cost of something grows: time of this thread alone, whatever else the machine
 * does meanwhile.
 */
#ifndef CKPT_TEST_UNIT_CPU_CLOCK_H
#define CKPT_TEST_UNIT_CPU_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

#endif
