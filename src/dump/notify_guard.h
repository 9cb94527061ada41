/*
 * notify_guard.h - whoever was told of a checkpoint is told that there is none, should we be killed.
 */
#ifndef CKPT_DUMP_NOTIFY_GUARD_H
#define CKPT_DUMP_NOTIFY_GUARD_H

#include <signal.h>
#include <stddef.h>

struct guard;

/**
 * guard_begin() - start a process that waits for our death
 * @pidfds: whom it tells then
 * @si:     by this signal
 * It has a session of its own and blocks all signals; only a SIGKILL that is meant for it ends it.
 * Return: owned, to be ended by guard_end(); NULL: there could be none.
 */
struct guard *guard_begin(const int *pidfds, size_t n, const siginfo_t *si);

/** guard_end() - it need not tell any more; may be NULL */
void guard_end(struct guard *g);

#endif
