/*
 * start.c - how a forked child of the coordinator becomes the agent (x86_64).
 */
#include "arch/arch.h"

void arch_agent_start(uint64_t entry, uint64_t prog, uint64_t stack_top)
{
	__asm__ volatile("mov %2, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%0\n\t"
			 "ud2"
			 :
			 : "r"(entry), "D"(prog), "r"(stack_top & ~15UL)
			 : "memory");
	__builtin_unreachable();
}
