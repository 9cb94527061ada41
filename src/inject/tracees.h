/*
 * tracees.h - the threads of one process, seized and held.
 *
 * The law of this folder: whatever happens to us, the target goes on exactly where it was. At every
 * instant the registers of a stopped thread lead, without a tracer, back to its own context;
 * nothing that depends on our survival is ever in force. The rules by which this holds are told
 * where they are applied.
 */
#ifndef CKPT_INJECT_TRACEES_H
#define CKPT_INJECT_TRACEES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "core/op.h"
#include "inject/policy.h"
#include "inject/wait.h"
#include "kernel/ptrace.h"

struct tracee {
	pid_t tid;
	bool held;               /* in an EVENT_STOP or a group stop */
	bool dead;               /* it exited while we held it */
	struct arch_regs regs;   /* its own, as the kernel shows them at the stop */
	struct arch_regs resume; /* the same, for code injected into it to end in */
	struct policy policy;    /* what it may call */
	bool suspended;          /* its seccomp filters are, see permit.h */
	struct sud_config sud;   /* its syscall user dispatch; off where the kernel can't tell */
	bool may_hold;  /* they let it wait for us in its stub; if not it is driven call by call */
	bool sud_off;   /* it is switched off for the time of our questions */
	bool broken;    /* our stop has broken off its wait; it goes on with it (heal.h) */
	bool continues; /* the kernel would, by restart_syscall(2), ... */
	bool anew;      /* ... but its call is issued again: with a shorter limit */
	bool begun;     /* it had, when we stopped it */
	uint64_t limit_ns; /* of a call that was issued anew before (rewait.h), 0: its own */
	bool left_known;   /* of that wait's time limit ... */
	uint64_t left_ns;  /* ... so much is left */
	uint64_t sigmask;
	struct rseq_config rseq;
	uint8_t *xstate; /* kept of it, see fragile.h; NULL: nothing */
	size_t xstate_len;
};

struct tracees {
	struct ckpt_op *op;
	pid_t pid;
	pid_t alive; /* a thread whose memory and files are there: pid, unless the leader is dead */
	char comm[32]; /* for messages */
	int proc_fd;   /* /proc/PID; with a dead leader, that of alive */
	int mem_fd;    /* /proc/PID/mem, read and write */
	struct tracee *v;
	size_t n, cap;
	int leader_exit_status;          /* then: what it gave to exit(2) */
	bool leader_dead;                /* the thread group's leader has exited; it is not in v */
	bool group_stopped;              /* by SIGSTOP or the like, before we came */
	uint64_t vdso_start;             /* before the stop; 0: it has none */
	uint64_t slack_start, slack_end; /* unused bytes behind the vdso's code; 0, 0: none */
	uint64_t code_start, code_end;   /* of it, where our own code is; 0, 0: nowhere */
	struct landings *landings;       /* see slack.h; NULL: none was needed */
	uint64_t stopped_at_ns;          /* CLOCK_MONOTONIC, before the first interrupt */
	uint64_t plain_page;             /* one in which no code of ours is, see leftover.c */
	struct wait_seen *seen;          /* by tid; see wait.h */
	size_t n_seen;
	bool filtered; /* a thread's calls are subject to seccomp: ask no more than is needed */
	bool ran_on; /* a thread has run in its own context since it was seized: it may have forked */
	bool dies;   /* it is to be killed after all went well */
	bool big;    /* much memory in few mappings: tracees_kill() helps to free it */
};

/*
 * A process is seized in three steps, so that the stops of many can be waited for together. After the first,
 * also if one fails, it is ended by tracees_release() or tracees_kill().
 */

/**
 * tracees_open() - look at what can be seen of a process before it is touched
 * It may be called for several processes by several threads.
 * @ret: untouched on failure
 * Return: 0; negative after op_fail().
 */
int tracees_open(struct ckpt_op *op, pid_t pid, struct tracees **ret);

/**
 * tracees_ask_to_stop() - attach to every thread and interrupt it
 * Return: 0; negative after op_fail()
 * Source: ptrace(2) PTRACE_SEIZE, Linux >= 3.4.
 */
int tracees_ask_to_stop(struct tracees *tr);

/**
 * tracees_hold() - wait until every thread has stopped where it is, and look at it
 * New threads that appear meanwhile are stopped too. Signals that come first are delivered.
 * Return: 0; negative after op_fail()
 */
int tracees_hold(struct tracees *tr);

/**
 * tracees_release() - let all go on where they were, and free
 * A wait that our stop alone has broken off (EINTR without a signal) is begun again, so that the
 * program does not see it.
 * @stop: leave the process stopped by SIGSTOP instead. NULL tr is fine.
 */
void tracees_release(struct tracees *tr, bool stop);

/** tracees_kill() - SIGKILL the process, wait until every thread is dead, and free */
int tracees_kill(struct tracees *tr);

/** tracees_leader() - the thread that makes requests for the whole process */
struct tracee *tracees_leader(struct tracees *tr);

/**
 * tracee_snapshot() - read registers, mask and rseq state of a thread that has just stopped
 * Return: 0; -errno
 */
int tracee_snapshot(struct tracees *tr, struct tracee *t);

/**
 * tracee_interrupt() - from any state to an EVENT_STOP, delivering what comes before it
 * Return: 0; -ESRCH it died; -ETIMEDOUT it does not stop (uninterruptible sleep)
 */
int tracee_interrupt(struct tracees *tr, struct tracee *t);

/**
 * tracee_wait_event() - wait for the EVENT_STOP that an interrupt asked for; what comes before is let by
 * Return: as tracee_interrupt()
 */
int tracee_wait_event(struct tracees *tr, struct tracee *t);

/** tracees_write() - put bytes into the target, also where it may not write itself. 0 or -errno */
int tracees_write(struct tracees *tr, uint64_t addr, const void *buf, size_t len);
int tracees_read(struct tracees *tr, uint64_t addr, void *buf, size_t len);

#endif
