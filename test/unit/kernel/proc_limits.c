/*
 * /proc/PID/limits on captured text, and against getrlimit().
 */
#include "kernel/proc_limits.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "kernel/proc.h"
#include "util/cleanup.h"

/* Captured on Linux 6.18; values then made all different. */
static const char text_618[] =
	"Limit                     Soft Limit           Hard Limit           Units     \n"
	"Max cpu time              unlimited            unlimited            seconds   \n"
	"Max file size             1                    2                    bytes     \n"
	"Max data size             3                    4                    bytes     \n"
	"Max stack size            8388608              unlimited            bytes     \n"
	"Max core file size        0                    unlimited            bytes     \n"
	"Max resident set          5                    6                    bytes     \n"
	"Max processes             96365                96366                processes \n"
	"Max open files            20000                20001                files     \n"
	"Max locked memory         7                    8                    bytes     \n"
	"Max address space         9                    10                   bytes     \n"
	"Max file locks            11                   12                   locks     \n"
	"Max pending signals       13                   14                   signals   \n"
	"Max msgqueue size         819200               819201               bytes     \n"
	"Max nice priority         15                   16                             \n"
	"Max realtime priority     17                   18                             \n"
	"Max realtime timeout      19                   18446744073709551614 us        \n";

Test(proc_limits, every_limit)
{
	struct proc_limits l;

	cr_assert_eq(proc_limits_parse(text_618, &l), 0);
	cr_assert_eq(l.v[RLIMIT_CPU].soft, UINT64_MAX);
	cr_assert_eq(l.v[RLIMIT_CPU].hard, UINT64_MAX);
	cr_assert_eq(l.v[RLIMIT_FSIZE].soft, 1);
	cr_assert_eq(l.v[RLIMIT_FSIZE].hard, 2);
	cr_assert_eq(l.v[RLIMIT_DATA].hard, 4);
	cr_assert_eq(l.v[RLIMIT_STACK].soft, 8388608);
	cr_assert_eq(l.v[RLIMIT_STACK].hard, UINT64_MAX);
	cr_assert_eq(l.v[RLIMIT_CORE].soft, 0);
	cr_assert_eq(l.v[RLIMIT_RSS].hard, 6);
	cr_assert_eq(l.v[RLIMIT_NPROC].hard, 96366);
	cr_assert_eq(l.v[RLIMIT_NOFILE].soft, 20000);
	cr_assert_eq(l.v[RLIMIT_MEMLOCK].hard, 8);
	cr_assert_eq(l.v[RLIMIT_AS].soft, 9);
	cr_assert_eq(l.v[RLIMIT_LOCKS].hard, 12);
	cr_assert_eq(l.v[RLIMIT_SIGPENDING].soft, 13);
	cr_assert_eq(l.v[RLIMIT_MSGQUEUE].hard, 819201);
	cr_assert_eq(l.v[RLIMIT_NICE].soft, 15);
	cr_assert_eq(l.v[RLIMIT_RTPRIO].hard, 18);
	cr_assert_eq(l.v[RLIMIT_RTTIME].soft, 19);
	cr_assert_eq(l.v[RLIMIT_RTTIME].hard, UINT64_MAX - 1);
}

Test(proc_limits, a_missing_or_broken_limit_is_refused)
{
	char text[sizeof(text_618)];
	struct proc_limits l;

	memcpy(text, text_618, sizeof(text));
	strstr(text, "Max realtime timeout")[4] = 'x';
	cr_assert_eq(proc_limits_parse(text, &l), -EBADMSG);
	memcpy(text, text_618, sizeof(text));
	strstr(text, "20001")[0] = 'x';
	cr_assert_eq(proc_limits_parse(text, &l), -EBADMSG);
	cr_assert_eq(proc_limits_parse("", &l), -EBADMSG);
}

Test(proc_limits, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct proc_limits l;
	struct rlimit want;
	unsigned int i;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &want), 0);
	want.rlim_cur = 123;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &want), 0);
	cr_assert_eq(proc_limits_read(procfd, &l), 0);
	for (i = 0; i < PROC_LIMITS; i++) {
		cr_assert_eq(getrlimit(i, &want), 0);
		cr_assert_eq(l.v[i].soft, want.rlim_cur, "%s", proc_limits_name(i));
		cr_assert_eq(l.v[i].hard, want.rlim_max, "%s", proc_limits_name(i));
	}
	cr_assert_str_eq(proc_limits_name(RLIMIT_NOFILE), "RLIMIT_NOFILE");
	cr_assert_null(proc_limits_name(16));
}
