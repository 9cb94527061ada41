/*
 * Holds: the three interval timers, running; `interval`: all of them periodic; `oneshot`: the real one
 * goes off once, after 1.5 s that are half over when the dump comes, the others far in the future.
 * Shows: Process: "itimers".
 * e2e: args: interval oneshot
 * e2e: settle: 0.5
 * e2e: no cycle for interval: its signals come between the two dumps
 * e2e: no faults,loop,kill for oneshot: its time would be over before the second fault
 */
#include "victim.h"

#include <sys/time.h>

static const int timer_which[3] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
static const int timer_sig[3] = {SIGALRM, SIGVTALRM, SIGPROF};
static volatile int timer_hits[3];
static volatile double timer_fired_s;

static void timer_hit(int sig)
{
	for (int i = 0; i < 3; i++)
		if (sig == timer_sig[i])
			timer_hits[i]++;
	if (sig == SIGALRM)
		timer_fired_s = victim_clock_s(CLOCK_MONOTONIC);
}

static void timer_set(int i, double value_s, double interval_s)
{
	struct itimerval it;

	it.it_value.tv_sec = (long)value_s;
	it.it_value.tv_usec = (long)(value_s * 1e6) % 1000000;
	it.it_interval.tv_sec = (long)interval_s;
	it.it_interval.tv_usec = (long)(interval_s * 1e6) % 1000000;
	MUST(setitimer(timer_which[i], &it, NULL));
}

static double timer_s(const struct timeval *tv)
{
	return tv->tv_sec + tv->tv_usec / 1e6;
}

static void timer_expect(int i, double min_s, double max_s, double interval_s)
{
	struct itimerval it;

	MUST(getitimer(timer_which[i], &it));
	CHECK(timer_s(&it.it_interval) > interval_s - 0.005 &&
			timer_s(&it.it_interval) < interval_s + 0.005,
		"timer %d: interval: expected %.3f s, got %.3f s", i, interval_s,
		timer_s(&it.it_interval));
	CHECK(timer_s(&it.it_value) >= min_s && timer_s(&it.it_value) <= max_s,
		"timer %d: value: expected %.3f..%.3f s, got %.3f s", i, min_s, max_s,
		timer_s(&it.it_value));
}

static void timer_burn(double seconds)
{
	double end = victim_clock_s(CLOCK_PROCESS_CPUTIME_ID) + seconds;

	while (victim_clock_s(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

static void timer_interval(void)
{
	int before[3];

	for (int i = 0; i < 3; i++)
		timer_set(i, 0.05, 0.05);
	timer_burn(0.12); /* user time, so that the virtual and the profiling timer run */
	victim_ready();
	victim_wait();
	for (int i = 0; i < 3; i++) {
		timer_expect(i, 0.000001, 0.06, 0.05);
		before[i] = timer_hits[i];
	}
	timer_burn(0.3);
	for (int i = 0; i < 3; i++)
		CHECK(timer_hits[i] > before[i], "timer %d: no signal in 0.3 s of run time", i);
}

static void timer_oneshot(void)
{
	double from = victim_clock_s(CLOCK_MONOTONIC), took;

	timer_set(0, 1.5, 0);
	timer_set(1, 700, 300);
	timer_set(2, 800, 400);
	victim_ready();
	victim_wait();
	timer_expect(1, 690, 700.01, 300);
	timer_expect(2, 790, 800.01, 400);
	while (!timer_hits[0] && victim_clock_s(CLOCK_MONOTONIC) < from + 6 + victim_dead_s())
		usleep(5000);
	CHECK(timer_hits[0] == 1, "SIGALRM: expected 1, got %d", timer_hits[0]);
	took = timer_fired_s - from;
	CHECK(took > 1.49, "SIGALRM early: %.3f s, expected 1.5", took);
	CHECK(took - victim_dead_s() < 2.0, "SIGALRM late: %.3f s without %.3f dead, expected 1.5",
		took - victim_dead_s(), victim_dead_s());
	timer_expect(0, 0, 0, 0);
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = timer_hit, .sa_flags = SA_RESTART};

	victim_init(argc, argv);
	for (int i = 0; i < 3; i++)
		MUST(sigaction(timer_sig[i], &act, NULL));
	if (argc > 1 && strcmp(argv[1], "oneshot") == 0)
		timer_oneshot();
	else
		timer_interval();
	return 0;
}
