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

/** heal_wait() - adjust the registers of a held thread, just before it is released or saved */
void heal_wait(struct tracee *t);

#endif
