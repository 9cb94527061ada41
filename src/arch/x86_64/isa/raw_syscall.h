/*
 * raw_syscall.h - a system call without libc (x86_64).
 *
 * Contract: number in rax, arguments in rdi rsi rdx r10 r8 r9, result in rax (-errno on failure);
 * the instruction clobbers rcx and r11. Source: syscall(2), arch/x86/entry/entry_64.S.
 */
#ifndef CKPT_ISA_RAW_SYSCALL_H
#define CKPT_ISA_RAW_SYSCALL_H

static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/** cpu_relax() - a hint in a spinning loop */
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
