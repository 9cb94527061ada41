/*
 * spin.h - threads that spin in user code, with known registers, until they are called out of it.
 */
#ifndef CKPT_TEST_SPIN_H
#define CKPT_TEST_SPIN_H

#include "victim.h"

#define SPIN_MAX 16

static volatile int spin_up;

/* By each of them, when all it has to do yet is to spin. */
static inline void spin_ready(void)
{
	__atomic_add_fetch(&spin_up, 1, __ATOMIC_SEQ_CST);
}

/*
 * Run @n of them through the dump: @thread gets its number.
 * @stop: set when they shall leave
 * @called: those from this number on are called out by SIGUSR1; n: none
 */
static inline void spin_run(int n, void *(*thread)(void *), volatile int *stop, int called)
{
	pthread_t t[SPIN_MAX];

	for (int i = 0; i < n; i++)
		t[i] = victim_thread(thread, (void *)(intptr_t)i);
	while (spin_up < n)
		usleep(1000);
	victim_ready();
	victim_wait();
	*stop = 1;
	for (int i = called; i < n; i++)
		pthread_kill(t[i], SIGUSR1);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

#endif
