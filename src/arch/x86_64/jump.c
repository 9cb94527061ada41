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
