/*
 * vdso.h - how a task gets a vdso, and what its functions are called (aarch64).
 */
#ifndef CKPT_ISA_VDSO_H
#define CKPT_ISA_VDSO_H

/* No call maps one: that which a fork has is moved. The kernel follows it, for its signal trampoline.
 * Source: Linux arch/arm64/kernel/vdso.c vdso_mremap(). */
#define ARCH_VDSO_MAP_NR   (-1L)
#define ARCH_VDSO_MAP_CODE 0

/* Functions without state: those of an old kernel can be sent on to those of a new one. */
#define ARCH_VDSO_FUNCTIONS                                                                        \
	"__kernel_clock_gettime", "__kernel_gettimeofday", "__kernel_clock_getres"

#endif
