/*
 * Holds: the last reading of every clock that must not go backwards, by the system call itself.
 * Shows: Process: "CLOCK_MONOTONIC that does not jump backwards".
 */
#include "victim.h"

int main(int argc, char **argv)
{
	static const clockid_t clocks[] = {
		CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE};
	struct timespec before[4], after;
	double gone;

	victim_init(argc, argv);
	for (int i = 0; i < 4; i++)
		MUST(syscall(SYS_clock_gettime, clocks[i], &before[i]));
	victim_ready();
	victim_wait();
	for (int i = 0; i < 4; i++) {
		MUST(syscall(SYS_clock_gettime, clocks[i], &after));
		gone = after.tv_sec - before[i].tv_sec + (after.tv_nsec - before[i].tv_nsec) / 1e9;
		CHECK(gone >= 0, "clock %d: %.6f s backwards", clocks[i], -gone);
		CHECK(gone < 600, "clock %d: %.6f s forwards: not by this test", clocks[i], gone);
	}
	return 0;
}
