/*
 * How often a peer that waits for 200 ms, then 400, 800... has doubled its time.
 */
#include "kernel/tcp_hasten.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MS 1000000ULL

Test(tcp_hasten, times)
{
	/* it sends again after 200, 600, 1400, 3000 ms */
	cr_expect(eq(uint, tcp_hasten_times(0), 0));
	cr_expect(eq(uint, tcp_hasten_times(199 * MS), 0));
	cr_expect(eq(uint, tcp_hasten_times(200 * MS), 1));
	cr_expect(eq(uint, tcp_hasten_times(599 * MS), 1));
	cr_expect(eq(uint, tcp_hasten_times(600 * MS), 2));
	cr_expect(eq(uint, tcp_hasten_times(1399 * MS), 2));
	cr_expect(eq(uint, tcp_hasten_times(1400 * MS), 3));
	cr_expect(eq(uint, tcp_hasten_times(3000 * MS), 4));
}

/* Linux gives up after 15 (tcp_retries2): a year takes no more of them */
Test(tcp_hasten, no_more_than_linux_tries)
{
	cr_expect(eq(uint, tcp_hasten_times(365 * 86400ULL * 1000 * MS), 15));
	cr_expect(eq(uint, tcp_hasten_times(UINT64_MAX), 15));
}
