/*
 * kmem.c - what is known of our own process, found in the kernel's memory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/kmem.h"

static struct kmem k;

static void setup(void)
{
	int r = kmem_open(&k);

	if (r == -ENOENT || r == -EPERM || r == -EINVAL || r == -ENOSYS)
		cr_skip_test("the memory of the kernel can't be read here");
	cr_assert_eq(r, 0, "%s", strerror(-r));
}

static void teardown(void)
{
	kmem_close(&k);
}

TestSuite(kmem, .init = setup, .fini = teardown);

/* The kernel notes of a socket of which type it is, and which file it belongs to. */
Test(kmem, behind_a_descriptor)
{
	int sv[2];
	uint64_t at[2];
	int16_t type;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	for (int i = 0; i < 2; i++) {
		at[i] = kmem_behind(&k, sv[i]);
		cr_assert_neq(at[i], 0);
		cr_assert_eq(kmem_read(&k, at[i] + (uint64_t)btf_offset(&k.btf, "socket", "type"),
				     &type, sizeof(type)),
			0);
		cr_assert_eq(type, SOCK_SEQPACKET);
	}
	cr_assert_neq(at[0], at[1]);
	close(sv[0]);
	close(sv[1]);
}

Test(kmem, what_can_not_be_read)
{
	char c[8];

	cr_assert_eq(kmem_read(&k, 0, c, sizeof(c)), -EFAULT);
	cr_assert_eq(kmem_read(&k, 0x1000, c, sizeof(c)), -EFAULT);
	cr_assert_eq(kmem_read(&k, (uintptr_t)c, c, sizeof(c)), -EFAULT, "it is not the kernel's");
	cr_assert_eq(kmem_word(&k, 0x1000), 0);
	cr_assert_eq(kmem_page_read(&k, kmem_behind(&k, 0), 0, c, sizeof(c)), -EFAULT,
		"nothing is known of pages yet");
}
