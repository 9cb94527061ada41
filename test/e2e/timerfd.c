/*
 * Holds: timerfds: not armed; far away; expired and unread; periodic and expired several times;
 *        absolute and due in a moment; cancelled by a set clock; one that a thread reads, which
 *        expires soon; of the clocks that wake the machine up; absolute, and expired before.
 * Shows: what is left of a timer is as long as before, and no expiration is lost or made up.
 * e2e: exec: yes
 */
#include "fds.h"
#include "timerfd.h"

#define LEFT_S   1000
#define PERIOD_S 3600

static int soon;

static long long take(int fd)
{
	uint64_t v = 0;
	ssize_t n = read(fd, &v, sizeof(v));

	return n == (ssize_t)sizeof(v) ? (long long)v : -errno;
}

static void *reader(void *arg)
{
	(void)arg;
	CHECK(take(soon) == 1, "the waiting reader");
	return NULL;
}

static void expect(double got, double low, double high, const char *what)
{
	CHECK(got >= low && got <= high, "%s: expected %.3f to %.3f, got %.3f", what, low, high,
		got);
}

int main(int argc, char **argv)
{
	int off, far, once, often, abs_far, abs_real, abs_past, alarm_boot, alarm_real;
	char was_past[1024], now_past[1024], path[64];
	double began, lives, due, every;
	struct fds_view was;
	pthread_t t;

	victim_init(argc, argv);
	off = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	far = timerfd_make(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC, 0, LEFT_S, PERIOD_S);
	once = timerfd_make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0.001, 0);
	often = timerfd_make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0.001, 0.002);
	due = victim_clock_s(CLOCK_MONOTONIC) + LEFT_S;
	abs_far = timerfd_make(CLOCK_MONOTONIC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, due, PERIOD_S);
	abs_real = timerfd_make(CLOCK_REALTIME, TFD_NONBLOCK,
		TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, victim_clock_s(CLOCK_REALTIME) + 1e6,
		0);
	abs_past = timerfd_make(CLOCK_MONOTONIC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, 0.5, 0);
	alarm_boot = timerfd_make(CLOCK_BOOTTIME_ALARM, TFD_NONBLOCK, 0, LEFT_S, PERIOD_S);
	alarm_real = timerfd_make(CLOCK_REALTIME_ALARM, TFD_NONBLOCK, TFD_TIMER_ABSTIME,
		victim_clock_s(CLOCK_REALTIME) + 1e6, 0);
	usleep(30000);
	soon = timerfd_make(CLOCK_MONOTONIC, 0, 0, 0.4, 0);
	t = victim_thread(reader, NULL);
	began = victim_clock_s(CLOCK_MONOTONIC);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", abs_past);
	victim_slurp(path, was_past, sizeof(was_past));
	fds_view(far, &was);
	victim_ready();
	victim_wait();
	fds_expect(far, &was, false, "far");
	lives = victim_clock_s(CLOCK_MONOTONIC) - began;
	/* the time between dump and restore does not count, but it runs while the program is stopped */
	expect(timerfd_left_s(far, &every), LEFT_S - lives - 0.4,
		LEFT_S - (lives - victim_dead_s()), "far");
	CHECK(every == PERIOD_S, "far: another interval");
	CHECK(take(far) == -EAGAIN, "far has expired");
	CHECK(timerfd_left_s(off, NULL) == 0 && take(off) == -EAGAIN,
		"the timer that is off is not");
	CHECK(take(once) == 1 && take(once) == -EAGAIN && timerfd_left_s(once, NULL) == 0,
		"once expired once");
	expect(take(often), 10, 1e9 * lives, "often");
	expect(timerfd_left_s(often, NULL), 0, 0.002, "often goes on");
	usleep(5000);
	expect(take(often), 1, 1000, "often goes on");
	expect(timerfd_left_s(abs_far, NULL) + victim_clock_s(CLOCK_MONOTONIC), due - 0.05,
		due + 0.05, "absolute");
	expect(timerfd_left_s(abs_real, NULL), 1e6 - 1000, 1e6, "absolute, by the wall clock");
	CHECK(take(abs_real) == -EAGAIN, "it was cancelled");
	victim_slurp(path, now_past, sizeof(now_past));
	CHECK(!strcmp(strstr(was_past, "clockid"), strstr(now_past, "clockid")),
		"expired: expected '%s', got '%s'", was_past, now_past);
	CHECK(take(abs_past) == 1 && take(abs_past) == -EAGAIN, "absolute, expired before");
	expect(timerfd_left_s(alarm_boot, NULL), LEFT_S - lives - 0.4,
		LEFT_S - (lives - victim_dead_s()), "alarm");
	expect(timerfd_left_s(alarm_real, NULL), 1e6 - 1000, 1e6, "alarm, by the wall clock");
	pthread_join(t, NULL);
	return 0;
}
