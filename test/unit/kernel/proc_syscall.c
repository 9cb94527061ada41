/*
 * The syscall file of a thread, on text captured on Linux 6.18.
 */
#include "kernel/proc_syscall.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(proc_syscall, a_call_with_its_arguments)
{
	struct proc_syscall s;

	cr_assert_eq(proc_syscall_parse("230 0x0 0x1 0x7ffffe772930 0x0 0xffffffffffffffff "
					"0x7f5ac12ec740 0x7ffffe772918 0x7f5ac13be503\n",
			     &s),
		0);
	cr_assert_eq(s.nr, 230);
	cr_assert_eq(s.args[0], 0);
	cr_assert_eq(s.args[1], 1);
	cr_assert_eq(s.args[2], 0x7ffffe772930);
	cr_assert_eq(s.args[4], UINT64_MAX);
	cr_assert_eq(s.args[5], 0x7f5ac12ec740);
}

Test(proc_syscall, no_call)
{
	struct proc_syscall s = {.nr = 7};

	cr_assert_eq(proc_syscall_parse("running\n", &s), 0);
	cr_assert_eq(s.nr, -1);
	s.nr = 7;
	cr_assert_eq(proc_syscall_parse("-1 0x7ffffe772918 0x7f5ac13be503\n", &s), 0);
	cr_assert_eq(s.nr, -1);
}

Test(proc_syscall, damaged_text_is_refused)
{
	static const char *const bad[] = {"", "\n", "x", "230", "230 0x0 0x1 0x2 0x3 0x4\n",
		"230 0 1 2 3 4 5\n", "99999999999 0x0 0x0 0x0 0x0 0x0 0x0\n",
		"230 0x0 0x0 0x0 0x0 0x0 0x\n"};
	struct proc_syscall s = {.nr = 7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(proc_syscall_parse(bad[i], &s), -EBADMSG, "'%s'", bad[i]);
	cr_assert_eq(s.nr, 7);
}
