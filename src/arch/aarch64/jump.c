/*
 * jump.c - a jump to anywhere (aarch64).
 *
 * No branch goes further than 128 MiB without a register. At the begin of a function x17 is nobody's:
 * a linker may have put such a jump there too. Source: AAPCS64, "the intra-procedure-call registers".
 */
#include <string.h>

#include "arch/arch.h"

void arch_jump(uint8_t *buf, uint64_t to)
{
	static const uint32_t code[] = {
		0x58000051, /* ldr x17, 8 bytes on */
		0xd61f0220, /* br x17 */
	};

	memcpy(buf, code, sizeof(code));
	memcpy(buf + sizeof(code), &to, sizeof(to));
}
