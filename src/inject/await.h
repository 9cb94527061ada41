/*
 * await.h - waiting for threads that are about to stop.
 *
 * They do so within microseconds, on another processor. To sleep meanwhile costs more than the wait: a
 * processor that has nothing to do is slow to wake, above all a virtual one, and one that has goes on with
 * another program for milliseconds. So we stay awake for a while first.
 */
#ifndef CKPT_INJECT_AWAIT_H
#define CKPT_INJECT_AWAIT_H

#include <stdint.h>
#include <sys/types.h>

#include "kernel/ptrace.h"

/**
 * await_stop() - ptrace_wait() for a stop or a death that is near
 * Return: 0; -ECHILD not a tracee, or gone.
 */
int await_stop(pid_t tid, struct wait_status *ret);

/** await_stop_timed() - the same, at most for @limit_ns. Return: as await_stop(); -ETIMEDOUT */
int await_stop_timed(pid_t tid, uint64_t limit_ns, struct wait_status *ret);

/**
 * await_progress() - let some time pass for another thread to come further, more at every call
 * @rounds: 0 before the first call
 */
void await_progress(unsigned *rounds);

#endif
