/*
 * Holds: a program that was stopped by SIGSTOP when the dump came, and has not been continued since.
 * Shows: First, do no harm: it is left as it was found; a restored one stays stopped until SIGCONT.
 * e2e: stopped: yes
 * e2e: no cycle: --frozen ends with a SIGCONT, which ends this stop as well
 * e2e: exec: yes
 */
#include "victim.h"

static volatile int stopped_count, stopped_go;

static void *stopped_thread(void *arg)
{
	while (!stopped_go) {
		stopped_count++;
		usleep(500);
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	int before;

	victim_init(argc, argv);
	t = victim_thread(stopped_thread, NULL);
	victim_ready();
	MUST(kill(getpid(), SIGSTOP));
	victim_wait();
	before = stopped_count;
	usleep(50000);
	CHECK(stopped_count > before, "the other thread stands still at %d", before);
	stopped_go = 1;
	pthread_join(t, NULL);
	return 0;
}
