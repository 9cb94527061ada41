/*
 * Holds: `ns`: a time namespace of its own, whose clocks are far ahead; the last reading of every clock that must not go backwards, by the system call itself.
 * Shows: Process: "CLOCK_MONOTONIC that does not jump backwards".
 * e2e: args: plain ns
 */
#include "victim.h"

#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* The clocks are days ahead of the machine's from here on. */
static void monotonic_enter(void)
{
	static const char text[] = "monotonic 1000000 0\nboottime 2000000 500\n";
	int fd;

	if (unshare(CLONE_NEWTIME) == -1)
		SKIP("no time namespaces: %s", strerror(errno));
	fd = MUST(open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
	if (write(fd, text, sizeof(text) - 1) == -1)
		SKIP("timens_offsets: %s", strerror(errno));
	close(fd);
	fd = MUST(open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC));
	MUST(setns(fd, CLONE_NEWTIME));
	close(fd);
}

int main(int argc, char **argv)
{
	static const clockid_t clocks[] = {
		CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE};
	struct timespec before[4], after;
	double gone;

	victim_init(argc, argv);
	if (argc > 1 && strcmp(argv[1], "ns") == 0)
		monotonic_enter();
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
