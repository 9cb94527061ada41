/*
 * Holds: a program that executes itself anew every few milliseconds, with a second thread running at
 * that moment, so that its address space, threads and leader change under whoever looks at it.
 * Shows: First, do no harm: "the target's own ... exec in the middle". A dump may fail, with a message,
 * but neither hurt it nor leave an image behind.
 * e2e: dump: may fail
 * e2e: no restore,fg,cycle,faults,kill,loop: a dump of it may fail
 */
#include "victim.h"

static void *churn_busy(void *arg)
{
	for (;;)
		usleep(100);
	return arg;
}

int main(int argc, char **argv)
{
	int runs = argc > 1 ? atoi(argv[1]) : 0;
	char count[16];
	sigset_t pending;

	victim_init(argc, argv);
	sigpending(&pending);
	if (sigismember(&pending, VICTIM_GO)) {
		CHECK(runs > 3, "executed itself %d times only", runs);
		victim_wait();
		return 0;
	}
	if (runs == 4)
		victim_ready();
	victim_thread(churn_busy, NULL);
	usleep(1000 + runs % 7 * 300);
	snprintf(count, sizeof(count), "%d", runs + 1);
	execl("/proc/self/exe", argv[0], count, NULL);
	CHECK(0, "execl: %s", strerror(errno));
}
