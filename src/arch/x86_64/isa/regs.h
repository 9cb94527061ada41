/*
 * regs.h - the general registers of a stopped thread (x86_64).
 */
#ifndef CKPT_ISA_REGS_H
#define CKPT_ISA_REGS_H

#include <linux/audit.h>
#include <sys/user.h>

#define ARCH_AUDIT AUDIT_ARCH_X86_64 /* what seccomp filters call it */

/* The NT_PRSTATUS register set. orig_rax is the number of the system call that the thread is in,
 * or -1 where it was interrupted in user code. */
struct arch_regs {
	struct user_regs_struct gp;
};

/* Bytes that one injected piece of code needs at most. */
#define ARCH_STUB_CALLS_MAX   4
#define ARCH_STUB_CALLS_SIZE  384
#define ARCH_STUB_REGION_SIZE 512
#define ARCH_JUMP_SIZE        14

#endif
