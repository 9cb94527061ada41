/*
 * spawn.h - making the first thread of a restored task, with its own pid.
 */
#ifndef CKPT_RESTORE_SPAWN_H
#define CKPT_RESTORE_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/timens.h"

struct spawn {
	pid_t pid;                         /* that it must have */
	uint64_t entry, prog, stack;       /* the agent, its program, the top of its stack */
	const struct timens_offsets *time; /* of a time namespace of its own, or NULL */
	int cgroup;   /* directory of the group of version 2 to be born in; negative: ours */
	bool sibling; /* its parent is ours, which is told of its end as of ours */
};

/**
 * spawn_task() - a child of this process that is the agent from its first instruction
 * All signals are blocked in it, it has no personality and no rseq area. A zombie that holds the pid is
 * waited for, for a moment.
 * Return: 0; -EEXIST the pid is taken; -EPERM; -errno of clone3(2) or of the time namespace.
 */
int spawn_task(const struct spawn *s);

/**
 * spawn_forget_thread() - give up what a fork keeps of the thread that made it, in memory that is about to go
 * In the child: its rseq area and its alternate signal stack.
 */
void spawn_forget_thread(void);

/**
 * spawn_self() - be the agent, in the place of making a task that is
 * For a process that has forgotten all that a new one would not have; its only thread, with all signals
 * blocked. @s: without pid, time and cgroup
 */
void spawn_self(const struct spawn *s) __attribute__((noreturn));

/** spawn_is_zombie() - whether a process is dead and not reaped */
bool spawn_is_zombie(pid_t pid);

#endif
