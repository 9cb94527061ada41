/*
 * Where our own vdso is: what the loader was told is the start.
 */
#include "kernel/proc_vdso.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"

static int check(uint64_t want_start)
{
	_cleanup_close_ int self = proc_open(0);
	uint64_t start = 1, end = 1;

	if (proc_vdso_find(self, &start, &end) != 0 || start != want_start)
		return 1;
	return want_start ? end <= start || (end - start) % 4096 : end != 0;
}

static uint64_t vdso_bytes(void)
{
	_cleanup_close_ int self = proc_open(0);
	uint64_t start, end;

	return proc_vdso_find(self, &start, &end) == 0 ? end - start : 0;
}

static void in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

Test(proc_vdso, it_is_where_the_loader_was_told)
{
	cr_assert_eq(check(getauxval(AT_SYSINFO_EHDR)), 0);
}

static int move(void)
{
	void *from = (void *)getauxval(AT_SYSINFO_EHDR);
	size_t len = vdso_bytes();
	void *to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED || mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		return 2;
	return check((uintptr_t)to);
}

Test(proc_vdso, it_was_moved)
{
	in_child(move);
}

/* Something else is where it was. */
static int replace(void)
{
	void *at = (void *)getauxval(AT_SYSINFO_EHDR);
	size_t len = vdso_bytes();

	if (mmap(at, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		return 2;
	return check(0);
}

Test(proc_vdso, it_was_replaced)
{
	in_child(replace);
}
