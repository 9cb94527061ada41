/*
 * fragile.h - registers that an injected system call would lose.
 *
 * On aarch64 a system call forgets all of a vector but its lower 128 bits (SVE), since no program expects
 * more of one that it makes. A thread that was stopped elsewhere does. Its registers are kept by us for
 * that time, and are lost if we die in it; so that is done only to a process that is to die. One that
 * goes on is stopped at an instant when the thread holds no such registers.
 */
#ifndef CKPT_INJECT_FRAGILE_H
#define CKPT_INJECT_FRAGILE_H

#include "inject/tracees.h"

/**
 * fragile_keep() - before anything is injected; all threads are held
 * Return: 0; negative after op_fail(): a thread holds them all the time.
 */
int fragile_keep(struct tracees *tr);

/** fragile_put() - give a thread in an EVENT_STOP what was kept of it. Return: 0; -errno */
int fragile_put(struct tracee *t);

/** fragile_drop() - keep nothing of a thread any longer */
void fragile_drop(struct tracee *t);

#endif
