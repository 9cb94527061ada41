/* The part of the extended registers that goes into an image. */
#include <criterion/criterion.h>
#include <string.h>

#include "arch/arch.h"

#define WHOLE  11008 /* of a CPU with AMX */
#define HEADER 576   /* Intel SDM volume 1, 13.4: legacy region 512, header 64 */

Test(xstate, zeros_at_the_end_are_left_out)
{
	uint8_t x[WHOLE] = {0};

	x[832] = 1;
	cr_assert_eq(arch_xstate_used(x, WHOLE), 833);
	x[WHOLE - 1] = 1;
	cr_assert_eq(arch_xstate_used(x, WHOLE), WHOLE);
}

Test(xstate, the_header_stays)
{
	uint8_t x[WHOLE] = {0};

	cr_assert_eq(arch_xstate_used(x, WHOLE), HEADER);
	cr_assert_eq(arch_xstate_used(x, HEADER), HEADER);
	cr_assert_eq(arch_xstate_used(x, 100), 100);
}
