/*
 * /proc/PID/stat on captured text: names that try to break out of their parentheses.
 */
#include "kernel/proc_stat.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"

/* Captured on Linux 6.18 from a program that had named itself ") \n\S 1(". */
static const char hostile[] =
	"13687 () \n\\S 1() R 13683 13684 3095 34816 13684 4194304 2921 6591 21 2 5 6 4 3 20 -5 3 0 "
	"165422 17330176 3494 18446744073709551615 94316729561088 94316729561429 140736396809952 0 "
	"0 0 0 16781312 2 0 0 0 17 1 50 2 0 0 0 94316729572784 94316729573400 94317348982784 "
	"140736396814494 140736396814542 140736396814543 140736396816335 256\n";

Test(proc_stat, hostile_name_and_every_field)
{
	struct proc_stat s;

	cr_assert_eq(proc_stat_parse(hostile, &s), 0);
	cr_assert_eq(s.pid, 13687);
	cr_assert_str_eq(s.comm, ") \n\\S 1(");
	cr_assert_eq(s.state, 'R');
	cr_assert_eq(s.ppid, 13683);
	cr_assert_eq(s.pgrp, 13684);
	cr_assert_eq(s.session, 3095);
	cr_assert_eq(s.tty_nr, 34816);
	cr_assert_eq(s.tpgid, 13684);
	cr_assert_eq(s.flags, 0x400000);
	cr_assert_eq(s.utime_ticks, 5);
	cr_assert_eq(s.stime_ticks, 6);
	cr_assert_eq(s.nice, -5);
	cr_assert_eq(s.num_threads, 3);
	cr_assert_eq(s.starttime_ticks, 165422);
	cr_assert_eq(s.vsize_bytes, 17330176);
	cr_assert_eq(s.start_code, 94316729561088);
	cr_assert_eq(s.end_code, 94316729561429);
	cr_assert_eq(s.start_stack, 140736396809952);
	cr_assert_eq(s.exit_signal, 17);
	cr_assert_eq(s.processor, 1);
	cr_assert_eq(s.rt_priority, 50);
	cr_assert_eq(s.policy, 2);
	cr_assert_eq(s.start_data, 94316729572784);
	cr_assert_eq(s.end_data, 94316729573400);
	cr_assert_eq(s.start_brk, 94317348982784);
	cr_assert_eq(s.arg_start, 140736396814494);
	cr_assert_eq(s.arg_end, 140736396814542);
	cr_assert_eq(s.env_start, 140736396814543);
	cr_assert_eq(s.env_end, 140736396816335);
	cr_assert_eq(s.exit_code, 256);
}

Test(proc_stat, cut_text_is_refused_at_every_length)
{
	char text[sizeof(hostile)];
	/* The last field is not cut short of its first digit: "2" would be as good a number. */
	size_t end = strlen(hostile) - strlen("256\n"), i;

	for (i = 0; i <= end; i++) {
		struct proc_stat s;

		memcpy(text, hostile, i);
		text[i] = '\0';
		cr_assert_eq(proc_stat_parse(text, &s), -EBADMSG, "length %zu", i);
	}
}

Test(proc_stat, overlong_name_is_refused)
{
	char text[1000] = "1 (";
	struct proc_stat s;

	memset(text + 3, 'x', 100);
	strcpy(text + 103, strrchr(hostile, ')'));
	cr_assert_eq(proc_stat_parse(text, &s), -EBADMSG);
}

Test(proc_stat, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct proc_stat s, t;
	pid_t *tids = NULL;
	size_t n = 0;

	cr_assert_eq(proc_stat_read(procfd, 0, &s), 0);
	cr_assert_eq(s.pid, getpid());
	cr_assert_eq(s.ppid, getppid());
	cr_assert_eq(s.session, getsid(0));
	cr_assert_eq(proc_stat_read(procfd, getpid(), &t), 0);
	cr_assert_eq(t.starttime_ticks, s.starttime_ticks);
	cr_assert_eq(proc_stat_read(procfd, 0x3fffffff, &t), -ESRCH);
	cr_assert_eq(proc_tasks(procfd, &tids, &n), 0);
	cr_assert_eq(n, s.num_threads);
	cr_assert_eq(tids[0], getpid());
	free(tids);
}

Test(proc, no_such_process)
{
	cr_assert_eq(proc_open(0x3fffffff), -ESRCH);
	cr_assert_eq(proc_open(-1), -ESRCH);
}
