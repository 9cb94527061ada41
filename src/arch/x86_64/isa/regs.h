/*
 * regs.h - the general registers of a stopped thread (x86_64).
 */
#ifndef CKPT_ISA_REGS_H
#define CKPT_ISA_REGS_H

#include <linux/audit.h>
#include <sys/user.h>

#define ARCH_AUDIT         AUDIT_ARCH_X86_64 /* what seccomp filters call it */
#define ARCH_TASK_SIZE_END 0x7ffffffff000ULL /* of four levels of page tables */

/* The NT_PRSTATUS register set. orig_rax is the number of the system call that the thread is in,
 * or -1 where it was interrupted in user code. */
struct arch_regs {
	struct user_regs_struct gp;
};

/* Bytes that one injected piece of code needs at most. */
#define ARCH_STUB_CALLS_MAX   8
#define ARCH_STUB_RESULTS_MAX 4
#define ARCH_STUB_CALLS_SIZE  256
#define ARCH_STUB_REGION_SIZE 448
#define ARCH_JUMP_SIZE        14
#define ARCH_LANDING_SIZE     16 /* none is ever needed */

#define ARCH_XSTATE_MAX 16384 /* bytes of extended registers */

/* Whether the kernel, at a stop within a system call, forgets how it would have gone on. */
#define ARCH_STOP_REWINDS 0

/* Whether an injected system call may lose some of them (arch_xstate_fragile()). */
#define ARCH_XSTATE_IS_FRAGILE 0

#endif
