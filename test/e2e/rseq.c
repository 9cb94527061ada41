/*
 * Holds: a registered rseq area in every thread (libc's own), and three threads that run a critical
 * section over and over: each iteration either commits or is aborted, and both are counted; the sum
 * must come out exact, which it does not if a thread goes on inside a section that it was stopped in.
 * Shows: Threads: "rseq registration (also when stopped inside a critical section)".
 * e2e: isa: x86_64
 */
#include "victim.h"

#include <linux/rseq.h>
#include <sched.h>
#include <stddef.h>

#define RSEQ_THREADS 3

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

struct rseq_job {
	uint64_t started, inside, committed, aborted;
};

static volatile int rseq_up, rseq_go;
static struct rseq_job rseq_jobs[RSEQ_THREADS];

static struct rseq *rseq_area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/*
 * One run: sets rseq_cs, then inside the section counts up a scratch register for a while and commits
 * by one store. Returns 1 committed, 0 aborted.
 */
static __attribute__((noinline)) int rseq_once(struct rseq *area, uint64_t *commit, uint64_t value)
{
	__asm__ goto(
		".pushsection __rseq_e2e, \"aw\"\n"
		"	.balign 32\n"
		"3:	.long 0, 0\n"
		"	.quad 1f, 2f-1f, 4f\n"
		"	.popsection\n"
		"	lea 3b(%%rip), %%rax\n"
		"	mov %%rax, %c[cs](%[area])\n"
		"1:	mov $2000, %%ecx\n"
		"5:	dec %%ecx\n"
		"	jnz 5b\n"
		"	mov %[value], (%[commit])\n"
		"2:	jmp 6f\n"
		"	.byte 0x0f, 0xb9, 0x3d\n" /* ud1 sig(%rip), %edi: the signature before the abort */
		"	.long 0x53053053\n"
		"4:	jmp %l[aborted]\n"
		"6:\n"
		:
		: [area] "r"(area), [cs] "i"(offsetof(struct rseq, rseq_cs)), [commit] "r"(commit),
		[value] "r"(value)
		: "rax", "rcx", "memory", "cc"
		: aborted);
	return 1;
aborted:
	return 0;
}

static void *rseq_thread(void *arg)
{
	struct rseq_job *job = &rseq_jobs[(intptr_t)arg];
	struct rseq *area = rseq_area();
	uint64_t cell = 0;

	__atomic_add_fetch(&rseq_up, 1, __ATOMIC_SEQ_CST);
	while (!rseq_go) {
		uint64_t was = cell;

		job->started++;
		if (rseq_once(area, &cell, was + 1)) {
			job->committed++;
			CHECK(cell == was + 1, "a committed section has not stored");
		} else {
			job->aborted++;
			CHECK(cell == was,
				"an aborted section has stored: an abort after the commit");
		}
	}
	CHECK(cell == job->committed && job->started == job->committed + job->aborted,
		"started %lu, committed %lu, aborted %lu, stored %lu", job->started, job->committed,
		job->aborted, cell);
	CHECK((int)area->cpu_id >= 0, "rseq cpu_id: expected a CPU, got %d: not registered",
		(int)area->cpu_id);
	CHECK((unsigned)sched_getcpu() < 4096, "sched_getcpu: %d", sched_getcpu());
	/* Registered at this very address: again is EBUSY, elsewhere EINVAL. */
	CHECK(syscall(SYS_rseq, area, 32, 0, 0x53053053) == -1 && errno == EBUSY,
		"rseq: expected EBUSY of the registered area, got %s", strerror(errno));
	return NULL;
}

/* A CPU number that is only ever written by the kernel: the restored registration keeps it current. */
static void rseq_current(void)
{
	volatile struct rseq *area = rseq_area();
	unsigned cpu = 0;
	cpu_set_t one, all;

	MUST(sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		MUST(sched_setaffinity(0, sizeof(one), &one));
		CHECK(area->cpu_id == cpu, "rseq cpu_id: expected %u, got %u", cpu, area->cpu_id);
		if (cpu >= 3)
			break;
	}
	MUST(sched_setaffinity(0, sizeof(all), &all));
}

int main(int argc, char **argv)
{
	pthread_t t[RSEQ_THREADS];

	victim_init(argc, argv);
	if (!&__rseq_size || !__rseq_size || (int)rseq_area()->cpu_id < 0)
		SKIP("libc has not registered rseq");
	for (int i = 0; i < RSEQ_THREADS; i++)
		t[i] = victim_thread(rseq_thread, (void *)(intptr_t)i);
	while (rseq_up < RSEQ_THREADS)
		usleep(1000);
	victim_ready();
	victim_wait();
	rseq_current();
	rseq_go = 1;
	for (int i = 0; i < RSEQ_THREADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
