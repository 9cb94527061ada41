/*
 * ptrace.h - ptrace(2) with types and negative errnos, and wait statuses decoded once.
 *
 * All stops are looked at with WNOWAIT: a consuming wait zeroes the tracee's exit code, and a
 * tracer that dies between such a wait and its PTRACE_CONT would lose the tracee's signal.
 * Never used: PTRACE_SINGLESTEP and breakpoints (a tracer that dies there kills the tracee).
 * PTRACE_O_TRACESYSGOOD is always set for the same reason.
 */
#ifndef CKPT_KERNEL_PTRACE_H
#define CKPT_KERNEL_PTRACE_H

#include <stdbool.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <linux/ptrace.h>

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

enum stop_kind {
	STOP_EXITED,  /* value: exit status */
	STOP_KILLED,  /* value: signal */
	STOP_EVENT,   /* PTRACE_EVENT_STOP: by interrupt, or the birth of an attached thread */
	STOP_GROUP,   /* PTRACE_EVENT_STOP of a job-control stop; value: signal */
	STOP_SYSCALL, /* entry or exit of a system call */
	STOP_SIGNAL,  /* signal-delivery-stop; value: signal */
	STOP_OTHER    /* another PTRACE_EVENT_*; value: the event */
};

struct stop {
	enum stop_kind kind;
	int value;
};

/**
 * ptrace_call() - ptrace(2) with errno as the result
 * Return: the call's result (>= 0 for every request used here); -errno, -ESRCH where the tracee is
 *         dead or not stopped.
 */
long ptrace_call(int request, pid_t tid, uintptr_t addr, uintptr_t data);

/** ptrace_seize() - attach without stopping; options beside TRACESYSGOOD. Linux >= 3.4 */
int ptrace_seize(pid_t tid, unsigned options);
int ptrace_interrupt(pid_t tid);
int ptrace_cont(pid_t tid, int sig);
/** ptrace_syscall() - run to the next entry or exit of a system call (or another stop) */
int ptrace_syscall(pid_t tid, int sig);
int ptrace_detach(pid_t tid, int sig);

/**
 * ptrace_regset_get() - PTRACE_GETREGSET
 * @type: NT_PRSTATUS, NT_X86_XSTATE, ...
 * @len:  in: room at buf; out: bytes that the kernel gave
 */
int ptrace_regset_get(pid_t tid, int type, void *buf, size_t *len);
int ptrace_regset_set(pid_t tid, int type, const void *buf, size_t len);

/** ptrace_sigmask_get() - the blocked set, 64 bits; inside sigsuspend the one that comes back */
int ptrace_sigmask_get(pid_t tid, uint64_t *ret);
int ptrace_sigmask_set(pid_t tid, uint64_t mask);

/**
 * ptrace_siginfo_peek() - pending signals, not consumed
 * @shared: the process's queue, else the thread's
 * @off:    position in the queue
 * Return: how many were read (0: none left); -errno. Linux >= 3.10
 */
int ptrace_siginfo_peek(pid_t tid, bool shared, uint64_t off, siginfo_t *buf, unsigned n);

/** ptrace_stop_wait() - wait for the next stop or death of a tracee; blocks unless nohang.
 * Return: 1 and *ret; 0 nothing yet (nohang only); -errno, -ECHILD when it is no tracee */
int ptrace_stop_wait(pid_t tid, bool nohang, struct stop *ret);

/** ptrace_reap() - consume a dead tracee's exit, so that its thread group can be waited for */
int ptrace_reap(pid_t tid);

#endif
