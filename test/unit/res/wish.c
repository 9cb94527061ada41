/*
 * wish.c - which semaphore sets and message queues --sysvipc names.
 */
#include <criterion/criterion.h>

#include "res/ipc/wish.h"

Test(wish, texts)
{
	static const char *const good[] = {
		"tree", "sem:0", "msg:2147483647", "0x0", "0xdeadBEEF", "tree,sem:1,0x7,msg:2"};
	static const char *const bad[] = {"", ",", "tree,", ",tree", "tree,,sem:1", "sem",
		"sem:", "sem:-1", "sem:x", "sem:2147483648", "msg:1x", "shm:1", "7", "0x",
		"0x100000000", "Tree", "sem:1 ", "sem:00000000000000000000000000000000000001"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect_null(wish_wrong(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not_null(wish_wrong(bad[i]), "'%s'", bad[i]);
}

Test(wish, tree)
{
	const char *const with[] = {"sem:1", "0x7,tree", NULL}, *const without[] = {"sem:1", NULL};

	cr_expect(wish_tree(with));
	cr_expect_not(wish_tree(without));
	cr_expect_not(wish_tree(NULL));
}

Test(wish, by_name)
{
	const char *const list[] = {"sem:12,msg:3", "0x0000ABcd", "0x0", NULL};

	cr_expect(wish_names(list, "sem", 12, 0));
	cr_expect_not(wish_names(list, "sem", 1, 0));
	cr_expect_not(wish_names(list, "sem", 3, 0), "that is a queue");
	cr_expect(wish_names(list, "msg", 3, 0));
	cr_expect(wish_names(list, "msg", 9, 0xabcd));
	cr_expect(wish_names(list, "sem", 9, 0xabcd));
	cr_expect_not(wish_names(list, "sem", 9, 0), "a private one has no key");
	cr_expect_not(wish_names(NULL, "sem", 12, 0xabcd));
}
