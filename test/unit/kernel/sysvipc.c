/*
 * sysvipc.c - objects with a chosen id, key and creator. Without the right to choose, there is nothing
 * to test.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/msg.h>
#include <unistd.h>

#include "kernel/sysvipc.h"

/* 24,000 or so after the ids of a system that has just begun; another for whoever runs this beside us */
#define FAR_ID (1073000 + (int)getpid() % 512)

static int get_queue(const void *key)
{
	return msgget(*(const key_t *)key, IPC_CREAT | IPC_EXCL | 0600);
}

static int end_with(void *arg)
{
	return *(const int *)arg;
}

Test(sysvipc, id_and_creator)
{
	struct sysvipc_actor who = {0, 1234, 5678};
	key_t key = IPC_PRIVATE;
	struct msqid_ds ds;

	if (sysvipc_choosable() < 0 || geteuid() != 0)
		cr_skip_test("ids can't be chosen here");
	cr_assert_eq(sysvipc_make(&who, SYSVIPC_MSG, FAR_ID, get_queue, &key), 0);
	cr_assert_eq(msgctl(FAR_ID, IPC_STAT, &ds), 0);
	cr_expect_eq(ds.msg_perm.cuid, 1234);
	cr_expect_eq(ds.msg_perm.cgid, 5678);
	/* a second one of that id can't be, and leaves nothing behind */
	cr_expect_eq(sysvipc_make(&who, SYSVIPC_MSG, FAR_ID, get_queue, &key), -EADDRINUSE);
	cr_expect_eq(msgctl(FAR_ID, IPC_RMID, NULL), 0);
	cr_expect_eq(geteuid(), 0, "the child was to change, not we");
}

Test(sysvipc, what_a_child_says)
{
	struct sysvipc_actor who = {0, geteuid(), getegid()};
	int r = -ENOSPC;

	cr_expect_eq(sysvipc_as(&who, end_with, &r), -ENOSPC);
	r = 0;
	cr_expect_eq(sysvipc_as(&who, end_with, &r), 0);
}
