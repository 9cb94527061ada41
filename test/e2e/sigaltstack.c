/*
 * Holds: an alternate signal stack in four threads: set and unused; in use (the thread spins in a
 * handler that runs on it); with SS_AUTODISARM, in use (so disarmed for now); and none.
 * Shows: Threads: "sigaltstack".
 */
#include "victim.h"

#define ALT_SIZE    32768
#define ALT_DISARM  (1U << 31)
#define ALT_THREADS 4

static char alt_mem[ALT_THREADS][ALT_SIZE] __attribute__((aligned(64)));
static volatile int alt_up, alt_go;
static __thread int alt_who;

static void alt_expect(const stack_t *want, const char *when)
{
	stack_t got;

	MUST(sigaltstack(NULL, &got));
	CHECK(got.ss_flags == want->ss_flags && got.ss_size == want->ss_size &&
			got.ss_sp == want->ss_sp,
		"thread %d %s: expected %p %#x %zu, got %p %#x %zu", alt_who, when, want->ss_sp,
		want->ss_flags, want->ss_size, got.ss_sp, got.ss_flags, got.ss_size);
}

/* Runs on the alternate stack until the go. */
static void alt_handler(int sig)
{
	char *here = __builtin_frame_address(0), *low = alt_mem[alt_who];
	stack_t before;

	(void)sig;
	MUST(sigaltstack(NULL, &before));
	__atomic_add_fetch(&alt_up, 1, __ATOMIC_SEQ_CST);
	while (!alt_go)
		;
	CHECK(here > low && here < low + ALT_SIZE, "thread %d: not on its alternate stack",
		alt_who);
	alt_expect(&before, "in the handler");
}

static void *alt_thread(void *arg)
{
	stack_t set = {.ss_size = ALT_SIZE}, now;

	alt_who = (int)(intptr_t)arg;
	set.ss_sp = alt_mem[alt_who];
	if (alt_who == 2)
		set.ss_flags = ALT_DISARM;
	if (alt_who < 3)
		MUST(sigaltstack(&set, NULL));
	MUST(sigaltstack(NULL, &now));
	if (alt_who == 1 || alt_who == 2) {
		pthread_kill(pthread_self(), SIGUSR1); /* comes back after the go */
	} else {
		__atomic_add_fetch(&alt_up, 1, __ATOMIC_SEQ_CST);
		while (!alt_go)
			usleep(1000);
	}
	CHECK(alt_who == 3 || (now.ss_sp == set.ss_sp && now.ss_size == set.ss_size),
		"thread %d: the test's own set-up is wrong", alt_who);
	alt_expect(&now, "after the go");
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = alt_handler, .sa_flags = SA_ONSTACK};
	pthread_t t[ALT_THREADS];

	victim_init(argc, argv);
	MUST(sigaction(SIGUSR1, &act, NULL));
	for (int i = 0; i < ALT_THREADS; i++)
		t[i] = victim_thread(alt_thread, (void *)(intptr_t)i);
	while (alt_up < ALT_THREADS)
		usleep(1000);
	victim_ready();
	victim_wait();
	alt_go = 1;
	for (int i = 0; i < ALT_THREADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
