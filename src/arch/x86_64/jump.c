/*
 * jump.c - a jump to anywhere (x86_64).
 */
#include <string.h>

#include "arch/arch.h"

void arch_jump(uint8_t *buf, uint64_t to)
{
	static const uint8_t jmp[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */

	memcpy(buf, jmp, sizeof(jmp));
	memcpy(buf + sizeof(jmp), &to, sizeof(to));
}

/* The jump above goes everywhere, and uses no register. */
bool arch_landing_needed(uint64_t start, uint64_t end, const struct arch_regs *resume)
{
	return false;
}

bool arch_landing_reaches(uint64_t landing, const struct arch_regs *resume)
{
	return true;
}

uint64_t arch_landing_at(const struct arch_regs *resume)
{
	return 0;
}

void arch_landing(uint8_t *buf, uint64_t at, struct arch_regs *resume)
{
}
