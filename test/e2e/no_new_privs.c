/*
 * Holds: no_new_privs in one of two threads (it is a thread's own property).
 * Shows: Threads: "no_new_privs".
 */
#include "victim.h"

#include <sys/prctl.h>

static volatile int nnp_up, nnp_go;

static void *nnp_thread(void *arg)
{
	long got;

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	nnp_up = 1;
	while (!nnp_go)
		usleep(1000);
	got = MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	CHECK(got == 1, "thread: expected 1, got %ld", got);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	long got;

	victim_init(argc, argv);
	t = victim_thread(nnp_thread, NULL);
	while (!nnp_up)
		usleep(1000);
	victim_ready();
	victim_wait();
	got = MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	CHECK(got == 0, "main: expected 0, got %ld", got);
	nnp_go = 1;
	pthread_join(t, NULL);
	return 0;
}
