/*
 * timens_offsets, as the kernel prints it.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "kernel/timens.h"

Test(timens, captured)
{
	struct timens_offsets o;

	cr_assert_eq(
		timens_parse(
			"monotonic     1000000         0\nboottime      2000000       500\n", &o),
		0);
	cr_assert_eq(o.monotonic_ns, 1000000000000000LL);
	cr_assert_eq(o.boottime_ns, 2000000000000500LL);
}

/* -1.25 s is two seconds back and 0.75 s on */
Test(timens, negative)
{
	struct timens_offsets o;

	cr_assert_eq(timens_parse("monotonic -2 750000000\nboottime 0 0\n", &o), 0);
	cr_assert_eq(o.monotonic_ns, -1250000000LL);
	cr_assert_eq(o.boottime_ns, 0);
}

Test(timens, malformed)
{
	struct timens_offsets o = {1, 2};

	cr_assert_eq(timens_parse("", &o), -EBADMSG);
	cr_assert_eq(timens_parse("monotonic 1 0\n", &o), -EBADMSG);
	cr_assert_eq(timens_parse("monotonic x 0\nboottime 0 0\n", &o), -EBADMSG);
	cr_assert_eq(o.monotonic_ns, 1);
	cr_assert_eq(o.boottime_ns, 2);
}
