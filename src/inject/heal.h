/*
 * heal.h - making a stop unnoticed.
 *
 * A stop breaks off some waits in a way that the program sees (EINTR), although no signal came:
 * epoll_wait, sigtimedwait, recv with a timeout and others. Others the kernel continues by
 * restart_syscall(2), a call that a seccomp filter may not allow, as an allow-list that nobody stops
 * is never asked for it: then the mere stop would kill. Both are made to issue their call again,
 * unless a handler is to run first: then the call ends with EINTR, as it would have.
 */
#ifndef CKPT_INJECT_HEAL_H
#define CKPT_INJECT_HEAL_H

struct tracee;

/**
 * heal_stop() - adjust a thread that has just stopped, so that from now on it would go on unharmed
 * @t: regs, policy and limit_ns are set; sets the rest of what is known of its wait, may change regs
 * Return: 0; -errno of writing its registers
 */
int heal_stop(struct tracee *t);

#endif
