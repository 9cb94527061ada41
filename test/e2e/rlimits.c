/*
 * Holds: every resource limit changed: soft limits lowered, some hard limits too.
 * Shows: Process: "rlimits".
 */
#include "victim.h"

#include <sys/resource.h>

int main(int argc, char **argv)
{
	/* Soft and hard as the kernel numbers them; 0: what is there, halved where it is finite. */
	static const struct {
		int which;
		rlim_t soft, hard;
	} set[] = {{RLIMIT_CPU, 10000, 20000}, {RLIMIT_FSIZE, 1UL << 33, 1UL << 34},
		{RLIMIT_DATA, 1UL << 35, 1UL << 36}, {RLIMIT_STACK, 8UL << 20, 64UL << 20},
		{RLIMIT_CORE, 0, 1UL << 20}, {RLIMIT_RSS, 1UL << 37, 1UL << 38},
		{RLIMIT_NPROC, 4000, 5000}, {RLIMIT_NOFILE, 123, 456},
		{RLIMIT_MEMLOCK, 65536, 131072}, {RLIMIT_AS, 1UL << 39, 1UL << 40},
		{RLIMIT_LOCKS, 50, 60}, {RLIMIT_SIGPENDING, 500, 600},
		{RLIMIT_MSGQUEUE, 10000, 20000}, {RLIMIT_NICE, 0, 0}, {RLIMIT_RTPRIO, 0, 0},
		{RLIMIT_RTTIME, 1000000, 2000000}};
	const size_t n = sizeof(set) / sizeof(set[0]);
	struct rlimit before[32], now;

	victim_init(argc, argv);
	for (size_t i = 0; i < n; i++) {
		struct rlimit want = {set[i].soft, set[i].hard};

		MUST(getrlimit(set[i].which, &now));
		/* A hard limit that is lower already cannot be raised by everyone. */
		if (now.rlim_max < want.rlim_max)
			want.rlim_max = now.rlim_max;
		if (want.rlim_cur > want.rlim_max)
			want.rlim_cur = want.rlim_max;
		MUST(setrlimit(set[i].which, &want));
		before[i] = want;
	}
	victim_ready();
	victim_wait();
	for (size_t i = 0; i < n; i++) {
		MUST(getrlimit(set[i].which, &now));
		CHECK(now.rlim_cur == before[i].rlim_cur && now.rlim_max == before[i].rlim_max,
			"limit %d: expected %lu/%lu, got %lu/%lu", set[i].which, before[i].rlim_cur,
			before[i].rlim_max, now.rlim_cur, now.rlim_max);
	}
	return 0;
}
