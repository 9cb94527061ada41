/*
 * stubs.h - asking every thread by itself: small pieces of code that make a few system calls each.
 */
#ifndef CKPT_INJECT_STUBS_H
#define CKPT_INJECT_STUBS_H

#include <time.h>

#include "inject/prog.h"
#include "inject/tracees.h"
#include "util/vec.h"

#define STUBS_MAX 16 /* places that are of use */

struct stubs {
	struct tracees *tr;
	struct prog *threads; /* one per tr->v[i], all with the same questions */
	size_t leader;        /* the one that is not asked this way */
	uint64_t at;      /* where the stubs are put: zeros, ARCH_STUB_CALLS_SIZE for each ... */
	unsigned places;  /* ... of so many, 1..STUBS_MAX */
	uint64_t data;    /* in the target: the threads' data, each's stubs_stride() further */
	uint64_t hold_at; /* in the target, not writable there: STUBS_HOLD, a struct timespec */
};

/* How long a thread waits for us at the end of its stub. */
#define STUBS_HOLD ((struct timespec){.tv_nsec = 50000000})

/** stubs_stride() - from one thread's data to the next's; each has the same length */
static inline uint64_t stubs_stride(const struct prog *threads)
{
	return ALIGN_UP(threads[0].data_len, 16);
}

/*
 * A word of a thread's data that says when its calls are made, without disturbing it: all ones before,
 * and one of the last questions overwrites it. A hint only.
 */
#define STUBS_HINT (~0ULL)

/** stubs_hint() - where that word is in each thread's data; UINT64_MAX: nowhere */
uint64_t stubs_hint(const struct prog *p);

/**
 * stubs_run() - have every thread but the leader and the dead ask its questions
 * What they write is left in the target; results that count (prog_step.wants_ret) go into the steps.
 * Return: 0; -EOPNOTSUPP a thread dispatches its system calls (drive.h); -E2BIG the questions fit into
 *         no stub; -ESRCH one died; -errno. On failure all threads stand in their own contexts, or will
 *         come there by themselves.
 */
int stubs_run(struct stubs *s);

#endif
