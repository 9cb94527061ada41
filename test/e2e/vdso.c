/*
 * Holds: two threads that are in the vdso nearly all the time (clock_gettime of several clocks,
 * gettimeofday, getcpu), and check that the monotonic clocks never go backwards.
 * Shows: Threads: "threads in vsyscall/vdso"; Memory: "vdso and vvar moved".
 */
#include "victim.h"

#include <sched.h>
#include <sys/time.h>

static volatile int vdso_up, vdso_go;

static uint64_t vdso_ns(clockid_t clock)
{
	struct timespec ts = {0};

	CHECK(clock_gettime(clock, &ts) == 0, "clock_gettime(%d): %s", clock, strerror(errno));
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void *vdso_thread(void *arg)
{
	static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE};
	uint64_t last[3] = {0}, now;
	unsigned long runs = 0;
	struct timeval tv;

	__atomic_add_fetch(&vdso_up, 1, __ATOMIC_SEQ_CST);
	for (; !vdso_go; runs++) {
		for (int i = 0; i < 3; i++) {
			now = vdso_ns(clocks[i]);
			CHECK(now >= last[i], "clock %d: backwards: %lu after %lu", clocks[i], now,
				last[i]);
			last[i] = now;
		}
		CHECK(gettimeofday(&tv, NULL) == 0 && tv.tv_sec > 1600000000, "gettimeofday: %ld",
			(long)tv.tv_sec);
		CHECK(sched_getcpu() >= 0, "getcpu: %s", strerror(errno));
	}
	CHECK(runs > 100, "%lu runs", runs);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[2];

	victim_init(argc, argv);
	for (int i = 0; i < 2; i++)
		t[i] = victim_thread(vdso_thread, NULL);
	while (vdso_up < 2)
		usleep(1000);
	victim_ready();
	victim_wait();
	vdso_go = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return 0;
}
