/*
 * Holds: a program that does nothing but sleep, as the first one that anybody dumps: one thread, in
 * nanosleep of a second and a half, again and again until the go.
 * Shows: the thinnest whole path; and that no sleep ends early.
 */
#include "victim.h"

static void sleep_check(double from, double seconds, double dead)
{
	double took = victim_clock_s(CLOCK_MONOTONIC) - from;

	CHECK(took > seconds - 0.01, "slept %.3f s, expected at least %.3f s", took, seconds);
	CHECK(took - dead < seconds + 0.5, "slept %.3f s, of which %.3f s dead, expected %.3f s",
		took, dead, seconds);
}

int main(int argc, char **argv)
{
	struct timespec ts = {1, 500000000};
	double from;
	sigset_t pending;

	victim_init(argc, argv);
	victim_ready();
	do {
		from = victim_clock_s(CLOCK_MONOTONIC);
		CHECK(nanosleep(&ts, NULL) == 0, "nanosleep: %s", strerror(errno));
		sigpending(&pending);
	} while (!sigismember(&pending, VICTIM_GO));
	sleep_check(from, 1.5, victim_dead_s());
	return 0;
}
