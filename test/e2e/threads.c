/*
 * Holds: many threads (how many is the argument), each asleep on its own futex with its own value in
 * thread-local storage, and its own thread id.
 * Shows: "one thread group with any number of threads (tested with 1, 8, 500, 4000)".
 * e2e: args: 1 8 500 4000
 * e2e: timeout for 4000: 180
 * e2e: no again,loop,kill for 4000: as goon and restore, and long
 * e2e: exec: yes
 */
#include "victim.h"

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t threads_cond = PTHREAD_COND_INITIALIZER;
static int threads_up, threads_go;
static __thread uint64_t threads_tls;

static uint64_t threads_value(intptr_t who)
{
	return 0x9e3779b97f4a7c15ULL * (who + 1);
}

static void *threads_one(void *arg)
{
	pid_t tid = syscall(SYS_gettid);
	uint64_t on_stack = ~threads_value((intptr_t)arg);
	volatile uint64_t *stack = &on_stack;

	threads_tls = threads_value((intptr_t)arg);
	pthread_mutex_lock(&threads_lock);
	threads_up++;
	while (!threads_go)
		pthread_cond_wait(&threads_cond, &threads_lock);
	pthread_mutex_unlock(&threads_lock);
	CHECK(syscall(SYS_gettid) == tid, "thread %ld: tid: expected %d, got %ld",
		(long)(intptr_t)arg, tid, syscall(SYS_gettid));
	CHECK(threads_tls == threads_value((intptr_t)arg),
		"thread %ld: tls: expected %#lx, got %#lx", (long)(intptr_t)arg,
		threads_value((intptr_t)arg), threads_tls);
	CHECK(*stack == ~threads_tls, "thread %ld: stack: expected %#lx, got %#lx",
		(long)(intptr_t)arg, ~threads_tls, *stack);
	return arg;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 8;
	pthread_t *t = calloc(n, sizeof(*t));
	int up;

	victim_init(argc, argv);
	/* The main thread is one of them. */
	for (intptr_t i = 1; i < n; i++)
		t[i] = victim_thread(threads_one, (void *)i);
	do {
		pthread_mutex_lock(&threads_lock);
		up = threads_up;
		pthread_mutex_unlock(&threads_lock);
		usleep(1000);
	} while (up < n - 1);
	victim_ready();
	victim_wait();
	pthread_mutex_lock(&threads_lock);
	threads_go = 1;
	pthread_cond_broadcast(&threads_cond);
	pthread_mutex_unlock(&threads_lock);
	for (intptr_t i = 1; i < n; i++) {
		void *got;

		pthread_join(t[i], &got);
		CHECK(got == (void *)i, "join: expected %ld, got %ld", (long)i, (long)got);
	}
	free(t);
	return 0;
}
