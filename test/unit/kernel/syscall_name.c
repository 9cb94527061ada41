/*
 * syscall_name.c - names of system calls.
 */
#include <criterion/criterion.h>
#include <sys/syscall.h>

#include "kernel/syscall_name.h"

Test(syscall_name, known_and_unknown)
{
	cr_expect_str_eq(syscall_name(SYS_read), "read");
	cr_expect_str_eq(syscall_name(SYS_futex), "futex");
	cr_expect_str_eq(syscall_name(SYS_clone3), "clone3");
	cr_expect_str_eq(syscall_name(462), "mseal");
	cr_expect_null(syscall_name(-1));
	cr_expect_null(syscall_name(100000));
	cr_expect_null(syscall_name(400)); /* between the old numbers and the common ones */
}
