/*
 * Every feature is tried, its row is complete, and trying leaves nothing behind.
 */
#include "kernel/probe.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/proc.h"
#include "kernel/proc_maps.h"
#include "util/cleanup.h"
#include "util/clock.h"

Test(probe, every_row_is_complete_and_of_its_own_name)
{
	static struct kernel_feature f[FEATURE_COUNT];
	static const char *const states[] = {"absent", "denied", "present"};
	int i, k;

	for (i = 0; i < FEATURE_COUNT; i++) {
		uint64_t start = now_ns();

		kernel_probe(i, &f[i]);
		printf("%-28s %-8s %6.0f us  %s\n", f[i].name, states[f[i].state],
			(double)(now_ns() - start) / 1e3, f[i].detail);
		cr_assert(f[i].name && *f[i].name && !strpbrk(f[i].name, " \n"));
		cr_assert(f[i].needed_for && *f[i].needed_for);
		cr_assert(f[i].lost_without && *f[i].lost_without);
		/* What is not there says why. */
		cr_assert(f[i].state == FEATURE_PRESENT || *f[i].detail, "%s", f[i].name);
		cr_assert_eq(kernel_has(i), f[i].state == FEATURE_PRESENT);
		for (k = 0; k < i; k++)
			cr_assert_str_neq(f[k].name, f[i].name);
	}
}

Test(probe, trying_leaves_nothing_behind)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct vma_list before = {}, after = {};
	int *fds = NULL, *fds_after = NULL;
	size_t n = 0, n_after = 0, i;
	struct kernel_feature f;
	int id;

	/* Once before, so that libraries have allocated what they keep. */
	for (id = 0; id < FEATURE_COUNT; id++)
		kernel_probe(id, &f);
	cr_assert_eq(fdinfo_list(procfd, &fds, &n), 0);
	cr_assert_eq(proc_maps_read(procfd, &before), 0);
	for (id = 0; id < FEATURE_COUNT; id++)
		kernel_probe(id, &f);
	cr_assert_eq(fdinfo_list(procfd, &fds_after, &n_after), 0);
	cr_assert_eq(n_after, n);
	for (i = 0; i < n; i++)
		cr_assert_eq(fds_after[i], fds[i]);
	cr_assert_eq(proc_maps_read(procfd, &after), 0);
	/* The heap may grow, mappings must not remain. */
	cr_assert_leq(after.n, before.n + 1);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	cr_assert_eq(errno, ECHILD);
	free(fds);
	free(fds_after);
	vma_list_done(&before);
	vma_list_done(&after);
}

Test(probe, what_works_without_privilege_everywhere)
{
	/* On every kernel that can run this tool, whoever runs it. */
	cr_assert(kernel_has(FEATURE_PROCESS_VM));
	cr_assert(kernel_has(FEATURE_PIDFD_GETFD));
	cr_assert(kernel_has(FEATURE_MM_MAP));
	cr_assert(kernel_has(FEATURE_PTRACE));
	cr_assert(kernel_has(FEATURE_SYSCALL_INFO));
}

Test(probe, an_unprivileged_process_is_denied)
{
	struct kernel_feature f;

	if (geteuid() != 0)
		cr_skip_test("needs root to drop privileges");
	cr_assert(kernel_has(FEATURE_CAP_SETUID));
	cr_assert_eq(setresgid(65534, 65534, 65534), 0);
	cr_assert_eq(setresuid(65534, 65534, 65534), 0);
	/* Undumpable after the change of ids: /proc/self would be root's. */
	cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
	kernel_probe(FEATURE_CAP_SETUID, &f);
	cr_assert_eq(f.state, FEATURE_DENIED);
	cr_assert_not(kernel_has(FEATURE_CAP_SETUID));
	kernel_probe(FEATURE_SET_TID, &f);
	cr_assert_eq(f.state, FEATURE_DENIED);
	cr_assert_str_eq(f.detail, "clone3: EPERM");
	kernel_probe(FEATURE_MAP_FILES, &f);
	cr_assert_eq(f.state, FEATURE_DENIED);
	kernel_probe(FEATURE_PTRACE, &f);
	cr_assert_eq(f.state, FEATURE_PRESENT);
	kernel_probe(FEATURE_PAGEMAP_PFN, &f);
	cr_assert_eq(f.state, FEATURE_DENIED);
}
