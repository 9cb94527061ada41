/*
 * Holds: a parent-death signal, another one in each of two threads (ignored, so that the death of the
 * restore command, which may be the parent, is not what ends the program).
 * Shows: Threads: "pdeathsig".
 * e2e: exec: yes
 */
#include "victim.h"

#include <sys/prctl.h>

static volatile int pdeath_up, pdeath_go;

static void pdeath_expect(int want, const char *who)
{
	int got = -1;

	MUST(prctl(PR_GET_PDEATHSIG, &got));
	CHECK(got == want, "%s: expected %d, got %d", who, want, got);
}

static void *pdeath_thread(void *arg)
{
	int sig = (int)(intptr_t)arg;

	MUST(prctl(PR_SET_PDEATHSIG, sig));
	__atomic_add_fetch(&pdeath_up, 1, __ATOMIC_SEQ_CST);
	while (!pdeath_go)
		usleep(1000);
	pdeath_expect(sig, sig ? "thread with one" : "thread without one");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[2];

	victim_init(argc, argv);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	t[0] = victim_thread(pdeath_thread, (void *)(intptr_t)SIGUSR2);
	t[1] = victim_thread(pdeath_thread, NULL);
	while (pdeath_up < 2)
		usleep(1000);
	victim_ready();
	victim_wait();
	pdeath_expect(SIGUSR1, "main");
	pdeath_go = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return 0;
}
