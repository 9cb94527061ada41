/*
 * Holds: a program that makes and joins threads all the time, eight at once, each with work to verify.
 * Shows: First, do no harm: "a new thread at every moment"; Threads: any number, also while it changes.
 */
#include "victim.h"

#define CHURN_MAKERS 4

static volatile int churn_stop;
static unsigned long churn_made[CHURN_MAKERS];

static void *churn_leaf(void *arg)
{
	uint64_t x = (uintptr_t)arg;

	for (int i = 0; i < 1000; i++)
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (void *)x;
}

static void *churn_maker(void *arg)
{
	unsigned long *made = arg;
	void *got, *want;

	while (!churn_stop) {
		pthread_t t = victim_thread(churn_leaf, (void *)(*made + 1));

		pthread_join(t, &got);
		want = churn_leaf((void *)(*made + 1));
		CHECK(got == want, "thread %lu: expected %p, got %p", *made, want, got);
		++*made;
		usleep(200);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[CHURN_MAKERS];
	unsigned long before;

	victim_init(argc, argv);
	for (int i = 0; i < CHURN_MAKERS; i++)
		t[i] = victim_thread(churn_maker, &churn_made[i]);
	usleep(20000);
	victim_ready();
	victim_wait();
	before = churn_made[0];
	usleep(100000);
	CHECK(churn_made[0] > before, "no new thread in 0.1 s after %lu", before);
	churn_stop = 1;
	for (int i = 0; i < CHURN_MAKERS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
