/*
 * Seccomp filters run on system calls that are not made; expected answers are those of the kernel's
 * documentation (seccomp_filter.rst) for programs written out by hand.
 */
#include "kernel/seccomp_bpf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Allows call 5, answers call 6 with errno 77 where its first argument is above 100, else kills. */
static const struct sock_filter list[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 100, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static uint32_t say(int nr, uint64_t arg)
{
	struct seccomp_data d = {.nr = nr, .args = {arg}};
	uint32_t ret = 0;

	cr_assert_eq(seccomp_bpf_run(list, LEN(list), &d, &ret), 0);
	return ret;
}

Test(seccomp_bpf, a_list_with_an_argument)
{
	cr_assert_eq(say(5, 0), SECCOMP_RET_ALLOW);
	cr_assert_eq(say(6, 101), SECCOMP_RET_ERRNO | 77);
	cr_assert_eq(say(6, 100), SECCOMP_RET_KILL_PROCESS);
	cr_assert_eq(say(7, 101), SECCOMP_RET_KILL_PROCESS);
}

Test(seccomp_bpf, arithmetic_and_memory)
{
	/* ((nr * 3 + 1) << 4 | 2) ^ nr, kept in memory and x on the way; returned as it is */
	static const struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_STMT(BPF_ST, 7),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 2),
		BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 7),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct seccomp_data d = {.nr = 1000};
	uint32_t ret = 0;

	cr_assert_eq(seccomp_bpf_run(f, LEN(f), &d, &ret), 0);
	cr_assert_eq(ret, 47226u); /* 3001 * 16 + 2 = 48018 = 0xbb92; 0xbb92 ^ 0x3e8 = 0xb87a */
}

Test(seccomp_bpf, damaged_programs_are_refused)
{
	static const struct sock_filter past[] = {BPF_STMT(BPF_JMP | BPF_JA, 9)};
	static const struct sock_filter odd[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2)};
	static const struct sock_filter far[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64)};
	static const struct sock_filter memory[] = {BPF_STMT(BPF_ST, BPF_MEMWORDS)};
	struct seccomp_data d = {0};
	uint32_t ret = 1;

	cr_assert_eq(seccomp_bpf_run(past, 1, &d, &ret), -EINVAL);
	cr_assert_eq(seccomp_bpf_run(odd, 1, &d, &ret), -EINVAL);
	cr_assert_eq(seccomp_bpf_run(far, 1, &d, &ret), -EINVAL);
	cr_assert_eq(seccomp_bpf_run(memory, 1, &d, &ret), -EINVAL);
	cr_assert_eq(seccomp_bpf_run(NULL, 0, &d, &ret), -EINVAL);
	cr_assert_eq(ret, 1);
}

Test(seccomp_bpf, the_strictest_of_stacked_filters_counts)
{
	cr_assert_eq(seccomp_bpf_stricter(SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 1),
		SECCOMP_RET_ERRNO | 1);
	cr_assert_eq(seccomp_bpf_stricter(SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD),
		SECCOMP_RET_KILL_PROCESS);
	cr_assert_eq(seccomp_bpf_stricter(SECCOMP_RET_TRAP, SECCOMP_RET_LOG), SECCOMP_RET_TRAP);
	cr_assert_eq(seccomp_bpf_stricter(SECCOMP_RET_ERRNO | 1, SECCOMP_RET_ERRNO | 2),
		SECCOMP_RET_ERRNO | 1);
}
