/*
 * units.c - sizes and times for people.
 */
#include <criterion/criterion.h>

#include "util/units.h"

Test(units, sizes_and_times)
{
	char buf[UNITS_LEN];

	cr_expect_str_eq(bytes_text(0, buf), "0 B");
	cr_expect_str_eq(bytes_text(1023, buf), "1023 B");
	cr_expect_str_eq(bytes_text(1024, buf), "1.0 KiB");
	cr_expect_str_eq(bytes_text(1536, buf), "1.5 KiB");
	cr_expect_str_eq(bytes_text(1048575, buf), "1.0 MiB");
	cr_expect_str_eq(bytes_text(1ULL << 30, buf), "1.0 GiB");
	cr_expect_str_eq(bytes_text(UINT64_MAX, buf), "16.0 EiB");
	cr_expect_str_eq(time_text(1000, buf), "1 us");
	cr_expect_str_eq(time_text(1500000, buf), "1.5 ms");
	cr_expect_str_eq(time_text(2500000000, buf), "2.50 s");
}
