/*
 * heal.h - making a stop unnoticed.
 *
 * A stop breaks off some waits in a way that the program sees (EINTR), although no signal came:
 * epoll_wait, sigtimedwait, recv with a timeout and others. A thread that shows such a result is
 * made to issue its call again.
 */
#ifndef CKPT_INJECT_HEAL_H
#define CKPT_INJECT_HEAL_H

struct tracee;

/**
 * heal_restart() - choose the registers that a thread is left with, into t->home
 * They are its own; but where the kernel would continue a sleep by restart_syscall(2) and a seccomp
 * filter does not allow that call (an allow-list that nobody stops is never asked for it), the thread
 * would be killed by the mere stop: it is made to issue the call itself again, at once.
 * Return: 0; -errno
 */
int heal_restart(struct tracee *t);

/** heal_wait() - adjust the registers of a held thread, just before it is released or saved */
void heal_wait(struct tracee *t);

#endif
