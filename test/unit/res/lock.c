/*
 * lock.c - "lock:" lines of fdinfo, as Linux 6.1 and 6.18 print them.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "proto/lock.pb-c.h"
#include "res/file/files.h"

static int line(struct lock_list *l, const char *text)
{
	char copy[128];

	snprintf(copy, sizeof(copy), "%s", text);
	return lock_line(copy, l);
}

Test(lock, whose_they_are)
{
	struct lock_list l = {.pid = 4242};

	cr_assert_eq(line(&l, "1: FLOCK  ADVISORY  WRITE 4242 fd:00:1234 0 EOF"), 0);
	cr_assert_eq(line(&l, "2: POSIX  ADVISORY  READ 4242 fd:00:1234 100 149"), 0);
	cr_assert_eq(line(&l, "3: OFDLCK ADVISORY  WRITE -1 fd:00:1234 5 EOF"), 0);
	cr_assert_eq(l.n, 3);
	cr_expect_eq(l.v[0]->kind, CKPT__LOCK__KIND__FLOCK);
	cr_expect_eq(l.v[0]->pid, 0);
	cr_expect_eq(l.v[1]->kind, CKPT__LOCK__KIND__POSIX);
	cr_expect_eq(l.v[1]->pid, 4242);
	cr_expect_eq(l.v[1]->start, 100);
	cr_expect_eq(l.v[1]->len, 50);
	cr_expect(!l.v[1]->write);
	cr_expect_eq(l.v[2]->kind, CKPT__LOCK__KIND__OFD);
	cr_expect_eq(l.v[2]->pid, 0);
	cr_expect_eq(l.v[2]->len, 0);
	lock_list_done(&l);
}

/* Of another task that has the same description: that one's locks are known, its own are not. */
Test(lock, of_a_description_that_is_known)
{
	struct lock_list l = {.pid = 77, .posix_only = true};

	cr_assert_eq(line(&l, "1: FLOCK  ADVISORY  WRITE 4242 fd:00:1234 0 EOF"), 0);
	cr_assert_eq(line(&l, "2: POSIX  ADVISORY  WRITE 77 fd:00:1234 0 9"), 0);
	cr_assert_eq(line(&l, "3: LEASE  ACTIVE    READ 4242 fd:00:1234 0 EOF"), 0);
	cr_assert_eq(l.n, 1);
	cr_expect_eq(l.v[0]->kind, CKPT__LOCK__KIND__POSIX);
	cr_expect_eq(l.v[0]->pid, 77);
	lock_list_done(&l);
}
