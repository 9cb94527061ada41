/*
 * Holds: a name of its own in each of five threads: ordinary, 15 characters, with blanks and
 * parentheses, empty, backslashes; set by prctl and, for one, from another thread.
 * Shows: Threads: "comm".
 */
#include "victim.h"

#include <sys/prctl.h>

static const char *const comm_names[] = {
	"plain", "fifteen-letters", ") R 1 (x\n", "", "by-another", "\\n\\\\ \\"};
static volatile int comm_up, comm_go;

static void comm_check(int who)
{
	char got[16] = "?";

	MUST(prctl(PR_GET_NAME, got));
	CHECK(strcmp(got, comm_names[who]) == 0, "thread %d: expected '%s', got '%s'", who,
		comm_names[who], got);
}

static void *comm_thread(void *arg)
{
	int who = (int)(intptr_t)arg;

	if (who != 4)
		MUST(prctl(PR_SET_NAME, comm_names[who]));
	__atomic_add_fetch(&comm_up, 1, __ATOMIC_SEQ_CST);
	while (!comm_go)
		usleep(1000);
	comm_check(who);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[6];

	victim_init(argc, argv);
	MUST(prctl(PR_SET_NAME, comm_names[0]));
	for (int i = 1; i < 6; i++)
		t[i] = victim_thread(comm_thread, (void *)(intptr_t)i);
	CHECK(pthread_setname_np(t[4], comm_names[4]) == 0, "pthread_setname_np");
	while (comm_up < 5)
		usleep(1000);
	victim_ready();
	victim_wait();
	comm_check(0);
	comm_go = 1;
	for (int i = 1; i < 6; i++)
		pthread_join(t[i], NULL);
	return 0;
}
