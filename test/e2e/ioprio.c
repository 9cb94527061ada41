/*
 * Holds: an io priority of its own in each of four threads: none, best effort, idle, real time.
 * Shows: Process: "io priority" (which is a thread's own).
 */
#include "victim.h"

#define IOPRIO_WHO_PROCESS 1

static const int ioprio_value[] = {2 << 13 | 6, 0, 3 << 13, 1 << 13 | 3};
static volatile int ioprio_up, ioprio_go;

static void *ioprio_thread(void *arg)
{
	int who = (int)(intptr_t)arg;
	long before, after;

	if (ioprio_value[who])
		MUST(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, ioprio_value[who]));
	before = MUST(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	CHECK(!ioprio_value[who] || before == ioprio_value[who], "set-up: thread %d: got %#lx", who,
		before);
	__atomic_add_fetch(&ioprio_up, 1, __ATOMIC_SEQ_CST);
	while (!ioprio_go)
		usleep(1000);
	after = MUST(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	CHECK(after == before, "thread %d: expected %#lx, got %#lx", who, before, after);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[4];

	victim_init(argc, argv);
	if (geteuid() != 0)
		SKIP("needs root: the real-time class");
	for (int i = 0; i < 4; i++)
		t[i] = victim_thread(ioprio_thread, (void *)(intptr_t)i);
	while (ioprio_up < 4)
		usleep(1000);
	victim_ready();
	victim_wait();
	ioprio_go = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return 0;
}
