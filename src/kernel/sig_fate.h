/*
 * What would become of a signal that is sent to a process as a whole: told by /proc, without asking it.
 *
 * It is a snapshot: the process may change its mind before the signal is there.
 */
#ifndef CKPT_KERNEL_SIG_FATE_H
#define CKPT_KERNEL_SIG_FATE_H

enum sig_fate {
	SIG_FATE_DEFAULT, /* nobody takes it: it would do what it does by default, for most that is to kill */
	SIG_FATE_IGNORED,
	SIG_FATE_TAKEN /* there is a handler, or every thread blocks it or waits for it (sigwait, signalfd) */
};

/**
 * sig_fate_read() - of a signal and a process
 * @procfd: /proc/PID; ptrace access is needed to see what a thread waits for
 * Return: enum sig_fate; -ESRCH it has ended; -ENOMEM; -errno of reading /proc.
 * Source: proc_pid_status(5), and of Linux kernel/signal.c: a thread in rt_sigtimedwait(2) does not block
 * meanwhile what it waits for, though nothing else can take it.
 */
int sig_fate_read(int procfd, int signo);

#endif
