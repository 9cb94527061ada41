/*
 * parallel.c - see parallel.h. Work is dealt out in small pieces: a helper that gets its processor late
 * leaves the rest to the others.
 */
#include "util/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>

#include "util/vec.h"

#define LIGHT       128 /* things of a few microseconds for which a thread more is made */
#define PIECES      16  /* in so many pieces they are dealt out */
#define HELPERS_MAX 3

struct work {
	size_t n, next; /* next is taken atomically */
	size_t piece;
	void (*each)(void *arg, size_t i);
	void *arg;
};

static void *run(void *arg)
{
	struct work *w = arg;
	size_t from;

	while ((from = __atomic_fetch_add(&w->next, w->piece, __ATOMIC_RELAXED)) < w->n)
		for (size_t i = from; i < MIN(from + w->piece, w->n); i++)
			w->each(w->arg, i);
	return NULL;
}

static size_t helpers_wanted(size_t n, size_t worth)
{
	cpu_set_t set;
	size_t cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
	size_t useful = MIN(n / worth, cpus - 1);

	return MIN(useful, (size_t)HELPERS_MAX);
}

void parallel_each_of(size_t n, size_t worth, void (*each)(void *arg, size_t i), void *arg)
{
	struct work w = {.n = n, .piece = worth / PIECES, .each = each, .arg = arg};
	size_t wanted = n < worth ? 0 : helpers_wanted(n, worth), made = 0;
	pthread_t helpers[HELPERS_MAX];
	sigset_t all, before;

	if (!w.piece)
		w.piece = 1;
	/* signals are for the caller */
	sigfillset(&all);
	if (wanted && pthread_sigmask(SIG_SETMASK, &all, &before) == 0) {
		while (made < wanted && pthread_create(&helpers[made], NULL, run, &w) == 0)
			made++;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	run(&w);
	while (made > 0)
		pthread_join(helpers[--made], NULL);
}

void parallel_each(size_t n, void (*each)(void *arg, size_t i), void *arg)
{
	parallel_each_of(n, LIGHT, each, arg);
}
