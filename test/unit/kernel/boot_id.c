/*
 * boot_id.c - what the kernel says, without the end of its line.
 */
#include "kernel/boot_id.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

/* A UUID as RFC 9562 writes it. */
Test(boot_id, a_uuid)
{
	char id[BOOT_ID_LEN], again[BOOT_ID_LEN];

	boot_id_read(id);
	cr_assert_eq(strlen(id), 36, "'%s'", id);
	for (size_t i = 0; i < 36; i++)
		cr_expect(i == 8 || i == 13 || i == 18 || i == 23 ? id[i] == '-' : isxdigit(id[i]),
			"'%s' at %zu", id, i);
	boot_id_read(again);
	cr_expect_str_eq(again, id);
}
