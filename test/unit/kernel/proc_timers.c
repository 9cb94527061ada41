/*
 * /proc/PID/timers on captured text.
 */
#include "kernel/proc_timers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"

/* Captured on Linux 6.18; one tid changed. */
static const char text_618[] = "ID: 4\n"
			       "signal: 10/0000000000000000\n"
			       "notify: thread/pid.12335\n"
			       "ClockID: -14\n"
			       "ID: 3\n"
			       "signal: 14/0000000000000003\n"
			       "notify: signal/pid.12335\n"
			       "ClockID: 0\n"
			       "ID: 2\n"
			       "signal: 10/(null)\n"
			       "notify: none/pid.12335\n"
			       "ClockID: 0\n"
			       "ID: 1\n"
			       "signal: 10/deadbeefcafe0123\n"
			       "notify: signal/tid.12336\n"
			       "ClockID: -6\n";

Test(proc_timers, every_kind_ascending)
{
	struct proc_timer *v = NULL;
	size_t n = 0;

	cr_assert_eq(proc_timers_parse(text_618, &v, &n), 0);
	cr_assert_eq(n, 4);
	cr_assert_eq(v[0].id, 1);
	cr_assert_eq(v[0].sigev_signo, 10);
	cr_assert_eq(v[0].sigev_value, 0xdeadbeefcafe0123ULL);
	cr_assert_eq(v[0].sigev_notify, SIGEV_THREAD_ID);
	cr_assert_eq(v[0].target, 12336);
	cr_assert_eq(v[0].clock, -6);
	cr_assert_eq(v[1].id, 2);
	cr_assert_eq(v[1].sigev_notify, SIGEV_NONE);
	cr_assert_eq(v[1].sigev_value, 0);
	cr_assert_eq(v[2].id, 3);
	cr_assert_eq(v[2].sigev_signo, 14);
	cr_assert_eq(v[2].sigev_notify, SIGEV_SIGNAL);
	cr_assert_eq(v[2].target, 12335);
	cr_assert_eq(v[2].clock, 0);
	cr_assert_eq(v[3].id, 4);
	cr_assert_eq(v[3].sigev_notify, SIGEV_THREAD);
	cr_assert_eq(v[3].clock, -14);
	free(v);
}

Test(proc_timers, none)
{
	struct proc_timer *v = NULL;
	size_t n = 9;

	cr_assert_eq(proc_timers_parse("", &v, &n), 0);
	cr_assert_eq(n, 0);
	free(v);
}

Test(proc_timers, malformed_text_is_refused)
{
	static const char *const bad[] = {
		"signal: 10/0\n",
		"ID: x\n",
		"ID: 1\n",
		"ID: 1\nsignal: 10/0\nnotify: signal/pid.1\n",
		"ID: 1\nsignal: 10\nnotify: signal/pid.1\nClockID: 0\n",
		"ID: 1\nsignal: 10/0\nnotify: signal/1\nClockID: 0\n",
		"ID: 1\nsignal: 10/0\nnotify: other/pid.1\nClockID: 0\n",
		"ID: 1\nsignal: 10/0\nnotify: signal/pid.1\nClockID: \n",
		"ID: 1\nID: 2\nsignal: 10/0\nnotify: signal/pid.1\nClockID: 0\n",
	};
	struct proc_timer *v;
	size_t n, i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(proc_timers_parse(bad[i], &v, &n), -EBADMSG, "text %zu", i);
}

Test(proc_timers, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct proc_timer *v = NULL;
	timer_t timer;
	size_t n = 0;

	e.sigev_value.sival_ptr = &timer;
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
	cr_assert_eq(proc_timers_read(procfd, &v, &n), 0);
	cr_assert_eq(n, 1);
	cr_assert_eq(v[0].id, (int)(intptr_t)timer);
	cr_assert_eq(v[0].sigev_signo, SIGUSR2);
	cr_assert_eq(v[0].sigev_value, (uint64_t)(uintptr_t)&timer);
	cr_assert_eq(v[0].clock, CLOCK_MONOTONIC);
	cr_assert_eq(v[0].target, getpid());
	free(v);
}
