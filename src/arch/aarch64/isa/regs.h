/*
 * regs.h - the general registers of a stopped thread (aarch64).
 */
#ifndef CKPT_ISA_REGS_H
#define CKPT_ISA_REGS_H

#include <linux/audit.h>
#include <stdint.h>
#include <sys/user.h>

#define ARCH_AUDIT         AUDIT_ARCH_AARCH64 /* what seccomp filters call it */
#define ARCH_TASK_SIZE_END (1ULL << 48)       /* of four levels of page tables */

/*
 * The NT_PRSTATUS register set, and what the kernel has of a system call beside it. A call that is
 * broken off is shown as on other ISAs: the pc is behind its instruction, and x0 is the result that
 * asks the kernel to restart it (see regs.c).
 */
struct arch_regs {
	struct user_regs_struct gp;
	uint64_t orig_x0; /* first argument of the call that the thread is in */
	int64_t nr;       /* of it; -1: none */
	uint64_t landing; /* of injected code, see arch_landing(); 0: none */
};

/* Bytes that one injected piece of code needs at most; one of each fits behind the vdso of Linux 6.1. */
#define ARCH_STUB_CALLS_MAX   8
#define ARCH_STUB_RESULTS_MAX 4
#define ARCH_STUB_CALLS_SIZE  320
#define ARCH_STUB_REGION_SIZE 384
#define ARCH_JUMP_SIZE        16
#define ARCH_LANDING_SIZE     16

#define ARCH_XSTATE_MAX 16384 /* bytes of extended registers */

/* Whether the kernel, at a stop within a system call, forgets how it would have gone on. */
#define ARCH_STOP_REWINDS 1

/* Whether an injected system call may lose some of them (arch_xstate_fragile()). */
#define ARCH_XSTATE_IS_FRAGILE 1

#endif
