#include "kernel/proc_locks.h"

#include <criterion/criterion.h>

/* Captured on Linux 6.18. */
Test(proc_locks, active)
{
	cr_assert(!proc_locks_parse("1: FLOCK  ADVISORY  WRITE 1042 00:1c:5678 0 EOF\n"
				    "2: LEASE  ACTIVE    READ  1042 00:1c:5680 0 EOF\n"
				    "3: POSIX  ADVISORY  READ  977 fe:00:1234 100 199\n"));
	cr_assert(!proc_locks_parse(""));
}

Test(proc_locks, breaking)
{
	cr_assert(proc_locks_parse("1: FLOCK  ADVISORY  WRITE 1042 00:1c:5678 0 EOF\n"
				   "2: LEASE  BREAKING  UNLCK 1042 00:1c:5680 0 EOF\n"));
}
