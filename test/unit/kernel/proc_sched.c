/*
 * se.exec_start on captured text.
 */
#include "kernel/proc_sched.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "kernel/proc.h"
#include "util/cleanup.h"

Test(proc_sched, exec_start_in_nanoseconds)
{
	uint64_t ns = 0;

	/* Captured on Linux 6.18. */
	cr_assert_eq(
		proc_sched_parse(
			"sleep (7051, #threads: 1)\n"
			"-------------------------------------------------------------------\n"
			"se.exec_start                                :       1230695.059014\n"
			"se.vruntime                                  :          1557.888608\n",
			&ns),
		0);
	cr_assert_eq(ns, 1230695059014ULL);
}

Test(proc_sched, a_programs_name_is_not_believed)
{
	uint64_t ns = 0;

	cr_assert_eq(proc_sched_parse("se.exec_start : 1.000000 (7, #threads: 1)\n-\n"
				      "se.exec_start : 2.000000\n",
			     &ns),
		0);
	cr_assert_eq(ns, 2000000);
	/* "\nse.exec_start:" is just as long as a name can be. */
	cr_assert_eq(proc_sched_parse("\nse.exec_start: (7, #threads: 1)\n-\n"
				      "se.exec_start : 3.000000\n",
			     &ns),
		0);
	cr_assert_eq(ns, 3000000);
}

Test(proc_sched, malformed_text_is_refused)
{
	static const char *const bad[] = {
		"",
		"x\n",
		"x\nse.exec_start\n",
		"x\nse.exec_start : 12\n",
		"x\nse.exec_start : 1.5\n",
		"x\nse.exec_start : 99999999999999999999.000000\n",
		"x\nse.exec_start : 18446744073709551.000000\n",
	};
	uint64_t ns = 7;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(proc_sched_parse(bad[i], &ns), -EBADMSG, "text %zu", i);
	cr_assert_eq(ns, 7);
}

Test(proc_sched, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(0);
	uint64_t first = 0, second = 0;
	int r = proc_sched_read(procfd, 0, &first);

	if (r == -ENOENT)
		cr_skip_test("kernel without /proc/PID/sched");
	cr_assert_eq(r, 0);
	cr_assert_gt(first, 0);
	cr_assert_eq(proc_sched_read(procfd, 0, &second), 0);
	cr_assert_gt(second, 0);
}

Test(proc_sched, how_often_it_went_to_sleep)
{
	static const char text[] =
		"sleep (7051, #threads: 1)\n-\n"
		"se.exec_start                                :       1.059014\n"
		"nr_switches                                  :                   17\n"
		"nr_voluntary_switches                        :                    2\n";
	uint64_t n = 0;

	cr_assert_eq(proc_sched_switches(text, &n), 0);
	cr_assert_eq(n, 2);
	cr_assert_eq(proc_sched_switches("nr_voluntary_switches : 5\n-\n", &n), -EBADMSG);
	cr_assert_eq(n, 2);
}
