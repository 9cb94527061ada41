/*
 * vdso.h - how the kernel is asked for a vdso, and what its functions are called (x86_64).
 */
#ifndef CKPT_ISA_VDSO_H
#define CKPT_ISA_VDSO_H

#include <sys/syscall.h>

/* arch_prctl(ARCH_MAP_VDSO_64, address), Linux >= 4.8 */
#define ARCH_VDSO_MAP_NR   SYS_arch_prctl
#define ARCH_VDSO_MAP_CODE 0x2003

/* Functions without state: those of an old kernel can be sent on to those of a new one. */
#define ARCH_VDSO_FUNCTIONS                                                                        \
	"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu",             \
		"__vdso_clock_getres"

#endif
