/*
 * The two signals by which programs are told.
 */
#include "res/thread/notify.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>

static void reads(const char *text, int ckpt, int thaw)
{
	int a = 0, b = 0;

	cr_expect(notify_signals(text, &a, &b), "%s", text);
	cr_expect_eq(a, ckpt, "%s: %d", text, a);
	cr_expect_eq(b, thaw, "%s: %d", text, b);
	cr_expect_null(notify_signals_wrong(text));
}

Test(notify, pairs_of_signals)
{
	reads(NULL, 62, 63);
	reads("62,63", 62, 63);
	reads("RTMAX-2,RTMAX-1", 62, 63);
	reads("SIGRTMAX,SIGRTMAX-14", 64, 50);
	reads("RTMIN,RTMIN+5", 34, 39);
	reads("10,RTMAX", 10, 64);
}

Test(notify, what_is_no_pair)
{
	static const char *const wrong[] = {"", ",", "62", "62,", ",62", "62,62", "62,63,",
		"62,63,61", "62 ,63", "9,10", "10,19", "32,62", "62,33", "0,1", "65,1",
		"RTMAX+1,62", "RTMIN-1,62", "RTMAXX,62", "RTMAX-40,62", "-1,62", "99999999999,1",
		"a,b"};
	int a = 7, b = 8;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cr_expect_not(notify_signals(wrong[i], &a, &b), "%s", wrong[i]);
		cr_expect_not_null(notify_signals_wrong(wrong[i]), "%s", wrong[i]);
	}
	cr_expect(a == 7 && b == 8);
}

Test(notify, what_a_signal_carries)
{
	siginfo_t si = notify_info(62, 125, 0x1122334455667788ULL);

	cr_expect_eq(si.si_signo, 62);
	cr_expect_eq(si.si_code, SI_QUEUE);
	cr_expect_eq(si.si_errno, 125);
	cr_expect_eq(si.si_pid, getpid());
	cr_expect_eq((uint64_t)(uintptr_t)si.si_value.sival_ptr, 0x1122334455667788ULL);
	cr_expect_eq(si.si_value.sival_int, 0x55667788);
}
