/*
 * start.c - how a forked child of the coordinator becomes the agent (aarch64).
 */
#include "arch/arch.h"

void arch_agent_start(uint64_t entry, uint64_t prog, uint64_t stack_top)
{
	register uint64_t x0 __asm__("x0") = prog;

	__asm__ volatile("mov sp, %1\n\t"
			 "mov x29, xzr\n\t"
			 "mov x30, xzr\n\t"
			 "blr %0\n\t"
			 "udf #0"
			 :
			 : "r"(entry), "r"(stack_top & ~15UL), "r"(x0)
			 : "memory");
	__builtin_unreachable();
}
