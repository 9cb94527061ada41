/*
 * What victims with timerfds share: times in seconds.
 */
#ifndef TEST_E2E_TIMERFD_H
#define TEST_E2E_TIMERFD_H

#include "victim.h"
#include <sys/timerfd.h>

static inline struct timespec timerfd_time(double s)
{
	return (struct timespec){(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
}

/* @flags: of timerfd_create(2); @how: of timerfd_settime(2) */
static inline int timerfd_make(int clock, int flags, int how, double value_s, double interval_s)
{
	struct itimerspec it = {
		.it_value = timerfd_time(value_s), .it_interval = timerfd_time(interval_s)};
	int fd = MUST(timerfd_create(clock, flags));

	MUST(timerfd_settime(fd, how, &it, NULL));
	return fd;
}

/* @ret_interval_s: may be NULL */
static inline double timerfd_left_s(int fd, double *ret_interval_s)
{
	struct itimerspec it;

	MUST(timerfd_gettime(fd, &it));
	if (ret_interval_s)
		*ret_interval_s = it.it_interval.tv_sec + it.it_interval.tv_nsec / 1e9;
	return it.it_value.tv_sec + it.it_value.tv_nsec / 1e9;
}

#endif
