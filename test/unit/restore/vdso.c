/*
 * vdso.c - the running kernel's own vdso as input: its symbols, a copy of it that is sent on, a copy
 * of it without its data; and damaged copies.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "res/mm/vdso.h"

#define NS_PER_S 1000000000LL

typedef int clock_fn(clockid_t, struct timespec *);

static struct vdso_host host;

static void look(void)
{
	cr_assert_eq(vdso_host_read(&host), 0);
	if (!host.n)
		cr_skip_test("this kernel has no vdso");
}

static clock_fn *clock_at(const uint8_t *code)
{
	uint64_t value, room;

	cr_assert_eq(vdso_symbol(code, host.code_len, "__vdso_clock_gettime", &value, &room), 0);
	cr_assert_geq(room, 14);
	return (clock_fn *)(code + value);
}

static int64_t ns(const struct timespec *ts)
{
	return ts->tv_sec * NS_PER_S + ts->tv_nsec;
}

static void expect_right(clock_fn *fn)
{
	struct timespec before, got = {0}, after;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before);
	cr_assert_eq(fn(CLOCK_MONOTONIC, &got), 0);
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after);
	cr_expect(ns(&before) <= ns(&got) && ns(&got) <= ns(&after),
		"%lld is not within %lld, %lld", (long long)ns(&got), (long long)ns(&before),
		(long long)ns(&after));
}

Test(vdso, of_this_kernel)
{
	look();
	cr_expect_eq((unsigned long)host.code, getauxval(AT_SYSINFO_EHDR));
	cr_expect_eq(host.code_len % 64, 0);
	expect_right(clock_at(host.code));
}

Test(vdso, symbols_that_are_not_there)
{
	uint64_t value, room;

	look();
	cr_expect_eq(
		vdso_symbol(host.code, host.code_len, "__vdso_nothing", &value, &room), -ENOENT);
	cr_expect_eq(vdso_symbol((const uint8_t *)"no ELF", 6, "x", &value, &room), -EBADMSG);
}

/* All parts anew in ordinary memory: the data zero, the code a copy. Returns the copy of the code. */
static uint8_t *copy_of_all(void)
{
	uint8_t *all = mmap(NULL, host.size, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(all, MAP_FAILED);
	for (size_t i = 0; i < host.n; i++)
		if (strcmp(host.parts[i].name, "[vdso]") == 0) {
			memcpy(all + host.parts[i].at, host.code, host.code_len);
			return all + host.parts[i].at;
		}
	cr_assert_fail("no [vdso]");
	return NULL;
}

Test(vdso, old_code_over_zero_data_makes_system_calls)
{
	uint8_t *copy;

	look();
	copy = copy_of_all();
	expect_right(clock_at(copy));
}

Test(vdso, functions_are_sent_on)
{
	static const uint8_t jmp[6] = {0xff, 0x25}; /* jmp *(next 8 bytes) */
	uint64_t value, room, to = 0;
	uint8_t *copy;

	look();
	copy = copy_of_all();
	cr_expect_geq(
		vdso_patch(copy, host.code_len, host.code, host.code_len, (uintptr_t)host.code), 4);
	cr_assert_eq(vdso_symbol(copy, host.code_len, "__vdso_clock_gettime", &value, &room), 0);
	cr_expect_arr_eq(copy + value, jmp, sizeof(jmp));
	memcpy(&to, copy + value + sizeof(jmp), sizeof(to));
	cr_expect_eq(to, (uintptr_t)host.code + value);
	expect_right(clock_at(copy));
}

Test(vdso, functions_of_another_kernel_lie_elsewhere)
{
	uint8_t new[4096 * 4];
	uint64_t value, room, to = 0;
	uint8_t *copy;

	look();
	cr_assert_leq(host.code_len, sizeof(new));
	copy = copy_of_all();
	memcpy(new, host.code, host.code_len);
	cr_assert_eq(vdso_symbol(new, host.code_len, "__vdso_getcpu", &value, &room), 0);
	vdso_patch(copy, host.code_len, new, host.code_len, 0x123456789000);
	memcpy(&to, copy + value + 6, sizeof(to));
	cr_expect_eq(to, 0x123456789000 + value);
}

Test(vdso, damaged_images_are_read_within_bounds)
{
	uint64_t value, room;

	look();
	for (size_t len = 0; len < host.code_len; len += 7) {
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, host.code, len);
		vdso_symbol(cut, len, "__vdso_time", &value, &room);
		cr_expect_leq(vdso_code_len(cut, len), len);
		free(cut);
	}
	for (unsigned seed = 0; seed < 2000; seed++) {
		uint8_t *bad = malloc(host.code_len);
		unsigned r = seed * 2654435761U;

		memcpy(bad, host.code, host.code_len);
		/* the headers and tables are at the start */
		for (int i = 0; i < 4; i++, r = r * 1664525U + 1013904223U)
			bad[r % 1024] = r >> 24;
		if (vdso_symbol(bad, host.code_len, "__vdso_time", &value, &room) == 0)
			cr_expect(value + room <= host.code_len);
		cr_expect_leq(vdso_code_len(bad, host.code_len), host.code_len);
		free(bad);
	}
}
