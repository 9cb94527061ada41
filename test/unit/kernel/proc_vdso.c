/*
 * Where our own vdso is: what the loader was told is the start.
 */
#include "kernel/proc_vdso.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/fd.h"

static int check(pid_t pid, uint64_t want_start)
{
	_cleanup_close_ int proc = proc_open(pid);
	uint64_t start = 1, end = 1;

	if (proc_vdso_find(proc, &start, &end) != 0 || start != want_start)
		return 1;
	return want_start ? end <= start || (end - start) % 4096 : end != 0;
}

static uint64_t vdso_bytes(void)
{
	_cleanup_close_ int self = proc_open(0);
	uint64_t start, end;

	return proc_vdso_find(self, &start, &end) == 0 ? end - start : 0;
}

/* What it does to its vdso, and where that is then. It calls nothing after, which might be in there. */
static void in_child(uint64_t (*fn)(char *at, size_t len), size_t len)
{
	char *at = (char *)getauxval(AT_SYSINFO_EHDR);
	uint64_t want = 1;
	int p[2], r;
	pid_t pid;

	cr_assert_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		want = fn(at, len);
		if (write(p[1], &want, sizeof(want)) == sizeof(want))
			for (;;)
				pause();
		_exit(1);
	}
	cr_assert_eq(read(p[0], &want, sizeof(want)), (ssize_t)sizeof(want));
	r = check(pid, want);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_assert_neq(want, 1, "the test can't do it");
	cr_assert_eq(r, 0);
}

Test(proc_vdso, it_is_where_the_loader_was_told)
{
	cr_assert_eq(check(0, getauxval(AT_SYSINFO_EHDR)), 0);
}

static uint64_t move(char *at, size_t len)
{
	void *to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED || mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		return 1;
	return (uintptr_t)to;
}

Test(proc_vdso, it_was_moved)
{
	in_child(move, vdso_bytes());
}

/* Something else is where it was. */
static uint64_t replace(char *at, size_t len)
{
	if (mmap(at, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		return 1;
	return 0;
}

Test(proc_vdso, it_was_replaced)
{
	in_child(replace, vdso_bytes());
}
