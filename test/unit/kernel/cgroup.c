/*
 * /proc/PID/cgroup on captured text; finding a group among the mounts is test/e2e/tree_cgroup.c's.
 */
#include "kernel/cgroup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"

/* A host with both versions; the names of groups may hold colons and blanks. */
static const char both[] = "12:cpu,cpuacct:/user.slice\n"
			   "3:net_cls,name=mine:/a:b c\n"
			   "1:name=systemd:/user.slice/session-2.scope\n"
			   "0::/user.slice/session-2.scope\n";

Test(cgroup, both_versions)
{
	_cleanup_cgroups_ struct cgroup_list l = {0};

	cr_assert_eq(cgroup_parse(both, &l), 0);
	cr_assert_eq(l.n, 4);
	cr_expect_str_eq(l.v[0].hierarchy, "cpu,cpuacct");
	cr_expect_str_eq(l.v[0].path, "/user.slice");
	cr_expect_str_eq(l.v[1].hierarchy, "net_cls,name=mine");
	cr_expect_str_eq(l.v[1].path, "/a:b c");
	cr_expect_str_eq(l.v[3].hierarchy, "");
	cr_expect_str_eq(cgroup_find(&l, "name=systemd"), "/user.slice/session-2.scope");
	cr_expect_null(cgroup_find(&l, "cpu"));
}

Test(cgroup, malformed)
{
	static const char *const bad[] = {"0:/\n", "nothing\n", "0::\n", "0::relative\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_cgroups_ struct cgroup_list l = {0};

		cr_expect_eq(cgroup_parse(bad[i], &l), -EBADMSG, "%s", bad[i]);
	}
}

Test(cgroup, none_at_all)
{
	_cleanup_cgroups_ struct cgroup_list l = {0};

	cr_expect_eq(cgroup_parse("", &l), 0);
	cr_expect_eq(l.n, 0);
}

/* Directories that are no cgroups, under mounts that say they are. */
Test(cgroup, looks_only_below_what_is_mounted)
{
	static const char text[] = "1 0 0:1 / /sys rw - sysfs none rw\n"
				   "2 1 0:2 /part / rw - cgroup none rw,cpu,name=x\n"
				   "3 1 0:3 / / rw - cgroup2 none rw\n";
	_cleanup_mounts_ struct mount_list m = {0};

	cr_assert_eq(mountinfo_parse(text, &m), 0);
	cr_expect_eq(cgroup_open(&m, "cpu", "/"), -ENODEV);
	cr_expect_eq(cgroup_open(&m, "cpu", "/partial"), -ENODEV);
	cr_expect_eq(cgroup_open(&m, "memory", "/part/a"), -ENODEV);
	cr_expect_eq(cgroup_open(&m, "", "/../other"), -ENODEV);
	cr_expect_eq(cgroup_open(&m, "", "/tmp"), -ENODEV);
}

Test(cgroup, its_own)
{
	_cleanup_cgroups_ struct cgroup_list l = {0};
	_cleanup_mounts_ struct mount_list m = {0};
	_cleanup_close_ int self = proc_open(0);

	cr_assert_geq(self, 0);
	cr_assert_eq(mountinfo_read(&m), 0);
	if (cgroup_read(self, "cgroup", &l) == -ENOENT)
		cr_skip("a kernel without cgroups");
	for (size_t i = 0; i < l.n; i++) {
		_cleanup_close_ int fd = cgroup_open(&m, l.v[i].hierarchy, l.v[i].path);

		if (fd == -ENODEV)
			continue;
		cr_assert_geq(fd, 0, "%s %s: %d", l.v[i].hierarchy, l.v[i].path, fd);
		cr_expect_eq(faccessat(fd, "cgroup.procs", F_OK, 0), 0);
		cr_expect_not(cgroup_is_frozen(fd));
	}
}
