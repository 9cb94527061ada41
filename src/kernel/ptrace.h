/*
 * ptrace(2) with types and -errno, and the stops of a tracee decoded once.
 *
 * Two rules shape this file; both were found with tracers that were killed at random instants:
 *  - A stop is waited for with WNOWAIT. A plain wait zeroes the tracee's exit_code: a tracer that
 *    dies between the wait and the resumption loses the signal which the stop was about. The
 *    price: a stop is reported again until the tracee is resumed, and a dead tracee stays a zombie
 *    until ptrace_reap().
 *  - PTRACE_O_TRACESYSGOOD is always set before ptrace_syscall(): without it a tracer that dies in
 *    a system call stop leaves SIGTRAP behind, which kills the tracee.
 *
 * All but seize and interrupt need the tracee in a stop, and give -ESRCH where it runs or is dead.
 */
#ifndef CKPT_KERNEL_PTRACE_H
#define CKPT_KERNEL_PTRACE_H

#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum wait_kind {
	WAIT_EXITED,       /* dead: exit_code */
	WAIT_KILLED,       /* dead: sig, core_dumped */
	WAIT_EVENT_STOP,   /* PTRACE_EVENT_STOP with SIGTRAP: interrupted, or a new child */
	WAIT_GROUP_STOP,   /* stopped by job control: sig is SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU */
	WAIT_SYSCALL_STOP, /* entry or exit: PTRACE_O_TRACESYSGOOD */
	WAIT_SIGNAL_STOP,  /* sig is about to be delivered */
	WAIT_EVENT,        /* event: PTRACE_EVENT_CLONE, ... */
};

struct wait_status {
	enum wait_kind kind;
	int sig;       /* of a stop or a death, else 0 */
	int event;     /* PTRACE_EVENT_*, else 0 */
	int exit_code; /* of WAIT_EXITED */
	bool core_dumped;
};

/**
 * wait_status_decode() - name the state that waitid(2) reported
 * @si:   as filled by waitid()
 * @ret:  untouched on failure
 * Return: 0; -EINVAL not a death or a stop.
 * Source: ptrace(2) "Stopped states", waitid(2).
 */
int wait_status_decode(const siginfo_t *si, struct wait_status *ret);

/** wait_is_dead() - whether the thread is gone (a zombie, until it is reaped) */
static inline bool wait_is_dead(const struct wait_status *w)
{
	return w->kind == WAIT_EXITED || w->kind == WAIT_KILLED;
}

/**
 * ptrace_wait() - wait for the next stop or death of one tracee
 * @tid:    tracee of this thread
 * @flags:  0, or WNOHANG
 * @ret:    untouched on failure
 * Nothing is consumed: the same state is reported again until the tracee is resumed or reaped.
 * Return: 0; -EAGAIN with WNOHANG: it runs; -ECHILD not a tracee or child, or gone.
 */
int ptrace_wait(pid_t tid, int flags, struct wait_status *ret);

/**
 * ptrace_reap() - consume the death of a tracee or child
 * A group leader is reapable only after all its threads that are traced have been reaped.
 * Return: 0; -EAGAIN not dead yet; -ECHILD not ours, or gone.
 */
int ptrace_reap(pid_t tid);

/**
 * ptrace_reap_killed() - wait for the death of a tracee that SIGKILL was sent to, and consume it
 * Its stops, which no longer matter, are consumed too.
 * Return: 0; -ECHILD not ours, or gone.
 */
int ptrace_reap_killed(pid_t tid);

/**
 * ptrace_seize() - become the tracer of a thread without stopping it
 * @options:  PTRACE_O_* of <sys/ptrace.h>
 * Return: 0; -EPERM traced by another, a kernel thread, or not allowed; -ESRCH; -EIO bad options.
 * Source: PTRACE_SEIZE, Linux >= 3.4.
 */
int ptrace_seize(pid_t tid, unsigned long options);

/**
 * ptrace_interrupt() - ask for a WAIT_EVENT_STOP; does nothing that is visible while in a stop
 * Return: 0; -ESRCH dead, or not a tracee.
 */
int ptrace_interrupt(pid_t tid);

/** ptrace_set_options() - PTRACE_O_* anew. Return: 0; -ESRCH; -EINVAL. */
int ptrace_set_options(pid_t tid, unsigned long options);

/**
 * ptrace_cont() - resume
 * @sig:  signal to deliver at a WAIT_SIGNAL_STOP, or 0
 * Return: 0; -ESRCH; -EIO bad signal.
 */
int ptrace_cont(pid_t tid, int sig);

/** ptrace_syscall() - resume until the next system call entry or exit. Return: as ptrace_cont() */
int ptrace_syscall(pid_t tid, int sig);

/**
 * ptrace_listen() - leave a WAIT_GROUP_STOP stopped, but able to see SIGCONT
 * Return: 0; -ESRCH; -EIO not in such a stop.
 */
int ptrace_listen(pid_t tid);

/** ptrace_detach() - stop tracing and resume; @sig as of ptrace_cont(). Return: 0; -ESRCH; -EIO. */
int ptrace_detach(pid_t tid, int sig);

/**
 * ptrace_event_message() - what a WAIT_EVENT is about: the new thread's tid, the exit status
 * @ret:  untouched on failure
 * Return: 0; -ESRCH.
 */
int ptrace_event_message(pid_t tid, unsigned long *ret);

/**
 * ptrace_getregset() - read one register set
 * @type:     NT_PRSTATUS, NT_X86_XSTATE, ... of <elf.h>
 * @buf:      @cap bytes
 * @ret_len:  bytes that the kernel filled in; may be NULL. Equal to @cap may mean cut off.
 * Return: 0; -ESRCH; -EINVAL unknown set; -ENODEV not on this CPU; -EIO; -EFAULT.
 * Source: Linux >= 2.6.34.
 */
int ptrace_getregset(pid_t tid, unsigned int type, void *buf, size_t cap, size_t *ret_len);

/** ptrace_setregset() - write one register set of @len bytes. Return: as ptrace_getregset(). */
int ptrace_setregset(pid_t tid, unsigned int type, const void *buf, size_t len);

/**
 * ptrace_peek() - read a word of a tracee's memory, past its protection
 * Return: 0; -ESRCH; -EIO or -EFAULT nothing is mapped there. Source: ptrace(2) PTRACE_PEEKTEXT.
 */
int ptrace_peek(pid_t tid, uint64_t addr, uint64_t *ret);

/**
 * ptrace_getsigmask() - the signal mask of a thread, bit (signal - 1)
 * Of a thread inside sigsuspend or ppoll it is the mask to which that returns.
 * Return: 0; -ESRCH.
 * Source: Linux >= 3.11.
 */
int ptrace_getsigmask(pid_t tid, uint64_t *ret);

/**
 * ptrace_setsigmask() - set the signal mask
 * Set it before the registers: the change makes the kernel forget that a mask was saved.
 * Return: 0; -ESRCH.
 */
int ptrace_setsigmask(pid_t tid, uint64_t mask);

/**
 * ptrace_peeksiginfo() - all pending signals of one queue, in order, left where they are
 * @shared:  the queue of the process, else that of the thread
 * @ret:     caller frees; NULL when there is none; untouched on failure
 * Return: 0; -ESRCH; -ENOMEM.
 * Source: Linux >= 3.10.
 */
int ptrace_peeksiginfo(pid_t tid, bool shared, siginfo_t **ret, size_t *ret_n);

struct rseq_config {
	uint64_t address; /* of struct rseq in the tracee; 0 when not registered */
	uint32_t size_bytes;
	uint32_t signature;
	uint32_t flags;
};

/**
 * ptrace_rseq_config() - the rseq(2) registration of a thread
 * Return: 0; -ESRCH; -EIO before Linux 5.13.
 */
int ptrace_rseq_config(pid_t tid, struct rseq_config *ret);

enum { SYSCALL_OP_NONE, SYSCALL_OP_ENTRY, SYSCALL_OP_EXIT, SYSCALL_OP_SECCOMP };

struct syscall_info {
	uint8_t op;    /* SYSCALL_OP_* */
	uint32_t arch; /* AUDIT_ARCH_* */
	uint64_t ip, sp;
	uint64_t nr, args[6]; /* of an entry */
	int64_t rval;         /* of an exit */
	bool is_error;
};

/**
 * ptrace_syscall_info() - what system call stop a tracee is in
 * Return: 0; -ESRCH; -EIO before Linux 5.3.
 */
int ptrace_syscall_info(pid_t tid, struct syscall_info *ret);

struct sud_config {
	uint64_t mode; /* 0 off, 1 on */
	uint64_t selector;
	uint64_t offset, len; /* where system calls pass always */
};

/**
 * ptrace_siginfo() - what is known of the signal that a thread in a signal-delivery-stop has got
 * Return: 0; -ESRCH; -EINVAL a stop of another kind.
 * Source: ptrace(2) PTRACE_GETSIGINFO, Linux >= 2.3.99.
 */
int ptrace_siginfo(pid_t tid, siginfo_t *ret);

/**
 * ptrace_sud_get() - the syscall user dispatch of a thread
 * Return: 0; -ESRCH; -EIO before Linux 6.4.
 */
int ptrace_sud_get(pid_t tid, struct sud_config *ret);

/** ptrace_sud_set() - set it; it stays when the tracer dies. Return: as ptrace_sud_get(). */
int ptrace_sud_set(pid_t tid, const struct sud_config *config);

/**
 * ptrace_seccomp_filter() - one filter of a thread
 * @index:    0 is the oldest, n - 1 the one attached last
 * @ret:      caller frees; untouched on failure
 * @ret_n:    instructions
 * Return: 0; -ENOENT no filter of this index; -EACCES no CAP_SYS_ADMIN, or the tracer has filters;
 *         -EINVAL filter not made of classic BPF; -ESRCH; -ENOMEM; -EIO kernel without it.
 * Source: PTRACE_SECCOMP_GET_FILTER, Linux >= 4.4.
 */
int ptrace_seccomp_filter(pid_t tid, unsigned long index, struct sock_filter **ret, size_t *ret_n);

/**
 * ptrace_seccomp_flags() - the SECCOMP_FILTER_FLAG_* of one filter (only LOG is reported)
 * Return: 0; as ptrace_seccomp_filter(). Source: Linux >= 4.16.
 */
int ptrace_seccomp_flags(pid_t tid, unsigned long index, uint64_t *ret);

/**
 * tracee_robust_list() - the head of a thread's robust futex list
 * @ret_head:  address in the thread's memory, 0 for none
 * Needs no stop.
 * Return: 0; -ESRCH; -EPERM; untouched on failure.
 * Source: get_robust_list(2).
 */
int tracee_robust_list(pid_t tid, uint64_t *ret_head, size_t *ret_len);

#endif
