/*
 * wait.h - how much of its time limit is left to a thread that a stop has broken off in a wait.
 *
 * The kernel continues a sleep by itself, from a deadline that it keeps in the task and shows to
 * nobody. It has to be known where the sleep is to go on in another task, or by another call:
 *   - nanosleep and clock_nanosleep write the rest when they are broken off, where the program has
 *     given them a place for it: exact;
 *   - a thread that is asleep was last on a CPU when its sleep began: se.exec_start, read before the
 *     stop (the stop itself changes it). It holds if the stop alone has woken the thread, which the
 *     count of its switches tells.
 * What can't be known is left unknown, and the wait begins anew: it is prolonged, never shortened.
 */
#ifndef CKPT_INJECT_WAIT_H
#define CKPT_INJECT_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tracees;

/* Where a call has its relative time limit. */
struct wait_limit {
	long nr;
	enum { WAIT_TIMESPEC, WAIT_MILLISECONDS } form; /* a pointer to one, or the number itself */
	int arg;                                        /* of the call */
	int rest_arg; /* where the kernel writes the rest, -1: nowhere */
};

/** wait_limit_of() - of a call with these arguments; NULL: none, or an absolute one */
const struct wait_limit *wait_limit_of(long nr, const uint64_t args[6]);

/* What was seen of a thread before the stop. */
struct wait_seen {
	pid_t tid;
	long nr;        /* of the call that the program made */
	bool restarted; /* the kernel continues it: its beginning was longer ago than this says */
	int cpu;
	uint64_t exec_start_ns; /* clock of the CPU's run queue */
	uint64_t switches;
};

/**
 * waits_look() - note the threads that sleep with a time limit, into tr->seen; before the stop
 * Costs about 10 us for each thread. What can't be read is passed over.
 * Source: /proc/PID/task/TID/syscall, CONFIG_HAVE_ARCH_TRACEHOOK; sched, CONFIG_SCHED_DEBUG.
 */
void waits_look(struct tracees *tr);

/** wait_seen_find() - what was noted of a thread, or NULL */
const struct wait_seen *wait_seen_find(const struct tracees *tr, pid_t tid);

/** waits_measure() - set left_ns of all held threads, after the stop */
void waits_measure(struct tracees *tr);

#endif
