/*
 * Holds: threads that own robust mutexes (one of them shared between processes by its kind) and that
 * end after the go: the kernel has to find the robust list, mark the mutex, and wake whoever waits at
 * the futex of the thread's id (which is how pthread_join and stack reuse work).
 * Shows: Threads: "robust futex list", "set_tid_address".
 * e2e: exec: yes
 */
#include "victim.h"

#include <linux/futex.h>

static pthread_mutex_t robust_mutex[2];
static volatile int robust_up, robust_go;
static void *robust_head;

static void robust_get(void **head, size_t *len)
{
	MUST(syscall(SYS_get_robust_list, 0, head, len));
}

static void *robust_thread(void *arg)
{
	int who = (int)(intptr_t)arg;
	void *before, *after;
	size_t len;

	robust_get(&before, &len);
	CHECK(pthread_mutex_lock(&robust_mutex[who]) == 0, "lock");
	__atomic_add_fetch(&robust_up, 1, __ATOMIC_SEQ_CST);
	while (!robust_go)
		usleep(1000);
	robust_get(&after, &len);
	CHECK(before == after && len == sizeof(struct robust_list_head),
		"robust list: expected %p, got %p (%zu)", before, after, len);
	/* Ends without libc's help, as a killed thread would; the mutex stays locked. */
	if (who)
		syscall(SYS_exit, 0);
	return NULL;
}

static void robust_init(pthread_mutex_t *m, int shared)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (shared)
		pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	CHECK(pthread_mutex_init(m, &attr) == 0, "mutex_init");
}

int main(int argc, char **argv)
{
	struct timespec limit;
	pthread_t t[2];
	void *head;
	size_t len;
	int err;

	victim_init(argc, argv);
	for (int i = 0; i < 2; i++) {
		robust_init(&robust_mutex[i], i);
		t[i] = victim_thread(robust_thread, (void *)(intptr_t)i);
	}
	robust_get(&robust_head, &len);
	while (robust_up < 2)
		usleep(1000);
	victim_ready();
	victim_wait();
	robust_get(&head, &len);
	CHECK(head == robust_head, "main: robust list: expected %p, got %p", robust_head, head);
	for (int i = 0; i < 2; i++) {
		err = pthread_mutex_trylock(&robust_mutex[i]);
		CHECK(err == EBUSY, "mutex %d before its owner's end: expected EBUSY, got %d", i,
			err);
	}
	robust_go = 1;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 5;
	for (int i = 0; i < 2; i++) {
		/* Joining waits at the futex that CLONE_CHILD_CLEARTID (set_tid_address) wakes. */
		err = pthread_timedjoin_np(t[i], NULL, &limit);
		CHECK(err == 0, "thread %d: join: expected 0, got %s", i, strerror(err));
		err = pthread_mutex_timedlock(&robust_mutex[i], &limit);
		CHECK(err == EOWNERDEAD, "mutex %d: expected EOWNERDEAD, got %s", i, strerror(err));
	}
	return 0;
}
