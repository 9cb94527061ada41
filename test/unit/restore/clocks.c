/*
 * The offsets of a restored task's clocks: after a reboot they go on, on the same boot nothing is done.
 */
#include <criterion/criterion.h>
#include <time.h>

#include "restore/clocks.h"

#define S 1000000000LL

static Ckpt__Manifest manifest(void)
{
	Ckpt__Manifest m = CKPT__MANIFEST__INIT;

	m.boot_id = "first";
	m.monotonic_ns = 5000 * S;
	m.boottime_ns = 7000 * S;
	return m;
}

Test(clocks, same_boot)
{
	Ckpt__Manifest m = manifest();
	struct timens_offsets none = {0}, had = {3 * S, 4 * S}, o;
	struct clocks_now now = {{6000 * S, 8000 * S}, "first"};

	o = clocks_offsets(&m, &none, &now);
	cr_assert_eq(o.monotonic_ns, 0);
	cr_assert_eq(o.boottime_ns, 0);
	o = clocks_offsets(&m, &had, &now);
	cr_assert_eq(o.monotonic_ns, 3 * S);
	cr_assert_eq(o.boottime_ns, 4 * S);
}

/* The machine is up for 20 s: the program had seen 5000 and 7000. */
Test(clocks, rebooted)
{
	Ckpt__Manifest m = manifest();
	struct timens_offsets none = {0}, o;
	struct clocks_now now = {{20 * S, 20 * S}, "second"};

	o = clocks_offsets(&m, &none, &now);
	cr_assert_eq(o.monotonic_ns + 20 * S, 5000 * S);
	cr_assert_eq(o.boottime_ns + 20 * S, 7000 * S);
}

/* Another host that is up for longer: deadlines must not come early. */
Test(clocks, longer_up)
{
	Ckpt__Manifest m = manifest();
	struct timens_offsets had = {100 * S, -100 * S}, o;
	struct clocks_now now = {{90000 * S, 95000 * S}, "other"};

	o = clocks_offsets(&m, &had, &now);
	cr_assert_eq(o.monotonic_ns + 90000 * S, 5100 * S);
	cr_assert_eq(o.boottime_ns + 95000 * S, 6900 * S);
}

/* Of another boot only the wall clock knows; what lies ahead is not long ago. */
Test(clocks, away_since_another_boot)
{
	Ckpt__Manifest m = manifest();
	struct timespec now;
	uint64_t away;

	clock_gettime(CLOCK_REALTIME, &now);
	m.created_ns = (uint64_t)(now.tv_sec - 50) * S;
	away = clocks_away_ns(&m);
	cr_assert(away >= 50 * S && away < 80 * S, "%llu", (unsigned long long)away);
	m.created_ns = (uint64_t)(now.tv_sec + 50) * S;
	cr_assert_eq(clocks_away_ns(&m), 0);
}
