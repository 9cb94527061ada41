/*
 * /proc/PID/status on captured text, with lines missing and added as kernels differ.
 */
#include "kernel/proc_status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/str.h"

/* Captured on Linux 6.18; ids, pids and masks then made all different. */
static const char text_618[] = "Name:\t) \\n\\\\S 1(\n"
			       "Umask:\t0027\n"
			       "State:\tt (tracing stop)\n"
			       "Tgid:\t7051\n"
			       "Ngid:\t3\n"
			       "Pid:\t7052\n"
			       "PPid:\t7049\n"
			       "TracerPid:\t99\n"
			       "Uid:\t1000\t1001\t1002\t1003\n"
			       "Gid:\t100\t101\t102\t103\n"
			       "FDSize:\t256\n"
			       "Groups:\t4 24 4294967294 \n"
			       "NStgid:\t7051\t12\t1\n"
			       "NSpid:\t7052\t13\t2\n"
			       "NSpgid:\t7049\t0\t0\n"
			       "NSsid:\t3095\t0\t0\n"
			       "Kthread:\t0\n"
			       "VmPeak:\t    2920 kB\n"
			       "VmLck:\t      64 kB\n"
			       "VmPin:\t       8 kB\n"
			       "CoreDumping:\t0\n"
			       "THP_enabled:\t1\n"
			       "untag_mask:\t0xffffffffffffff\n"
			       "Threads:\t17\n"
			       "SigQ:\t0/96365\n"
			       "SigPnd:\t0000000000000200\n"
			       "ShdPnd:\t0000000000000800\n"
			       "SigBlk:\tffffffffffffffff\n"
			       "SigIgn:\t0000000000000006\n"
			       "SigCgt:\t0000000180000000\n"
			       "CapInh:\t0000000000000001\n"
			       "CapPrm:\t000001fffeffffff\n"
			       "CapEff:\t0000000000000003\n"
			       "CapBnd:\t0000000000000007\n"
			       "CapAmb:\t000000000000000f\n"
			       "NoNewPrivs:\t1\n"
			       "Seccomp:\t2\n"
			       "Seccomp_filters:\t3\n"
			       "Speculation_Store_Bypass:\tvulnerable\n"
			       "Cpus_allowed:\t3\n"
			       "Cpus_allowed_list:\t0-1\n"
			       "Mems_allowed_list:\t0\n";

Test(proc_status, every_field)
{
	struct proc_status s;

	cr_assert_eq(proc_status_parse(text_618, &s), 0);
	cr_assert_str_eq(s.name, ") \n\\S 1(");
	cr_assert_eq(s.umask, 027);
	cr_assert_eq(s.state, 't');
	cr_assert_eq(s.tgid, 7051);
	cr_assert_eq(s.ngid, 3);
	cr_assert_eq(s.pid, 7052);
	cr_assert_eq(s.ppid, 7049);
	cr_assert_eq(s.tracer_pid, 99);
	cr_assert_eq(s.uid[PROC_ID_REAL], 1000);
	cr_assert_eq(s.uid[PROC_ID_EFFECTIVE], 1001);
	cr_assert_eq(s.uid[PROC_ID_SAVED], 1002);
	cr_assert_eq(s.uid[PROC_ID_FS], 1003);
	cr_assert_eq(s.gid[PROC_ID_REAL], 100);
	cr_assert_eq(s.gid[PROC_ID_FS], 103);
	cr_assert_eq(s.n_groups, 3);
	cr_assert_eq(s.groups[0], 4);
	cr_assert_eq(s.groups[2], 4294967294U);
	cr_assert_eq(s.ns_tgid.n, 3);
	cr_assert_eq(s.ns_tgid.v[1], 12);
	cr_assert_eq(s.ns_pid.n, 3);
	cr_assert_eq(s.ns_pid.v[2], 2);
	cr_assert_eq(s.ns_pgid.v[0], 7049);
	cr_assert_eq(s.ns_sid.v[0], 3095);
	cr_assert_eq(s.vm_locked_kb, 64);
	cr_assert_eq(s.vm_pinned_kb, 8);
	cr_assert_eq(s.core_dumping, 0);
	cr_assert_eq(s.thp_enabled, 1);
	cr_assert_eq(s.untag_mask, 0x00ffffffffffffffULL);
	cr_assert_eq(s.threads, 17);
	cr_assert_eq(s.sig_pending, 1ULL << (10 - 1));
	cr_assert_eq(s.shd_pending, 1ULL << (12 - 1));
	cr_assert_eq(s.sig_blocked, UINT64_MAX);
	cr_assert_eq(s.sig_ignored, 6);
	cr_assert_eq(s.sig_caught, 0x180000000ULL);
	cr_assert_eq(s.cap_inheritable, 1);
	cr_assert_eq(s.cap_permitted, 0x1fffeffffffULL);
	cr_assert_eq(s.cap_effective, 3);
	cr_assert_eq(s.cap_bounding, 7);
	cr_assert_eq(s.cap_ambient, 15);
	cr_assert_eq(s.no_new_privs, 1);
	cr_assert_eq(s.seccomp, 2);
	cr_assert_eq(s.seccomp_filters, 3);
	cr_assert_str_eq(s.cpus_allowed, "3");
	cr_assert_str_eq(s.cpus_allowed_list, "0-1");
	proc_status_done(&s);
}

Test(proc_status, old_kernel_lacks_lines)
{
	struct proc_status s;

	cr_assert_eq(proc_status_parse("Name:\tx\nPid:\t5\nGroups:\t \n", &s), 0);
	cr_assert_eq(s.pid, 5);
	cr_assert_eq(s.umask, -1);
	cr_assert_eq(s.n_groups, 0);
	cr_assert_eq(s.no_new_privs, -1);
	cr_assert_eq(s.seccomp, -1);
	cr_assert_eq(s.seccomp_filters, -1);
	cr_assert_eq(s.thp_enabled, -1);
	cr_assert_eq(s.core_dumping, -1);
	cr_assert_eq(s.untag_mask, UINT64_MAX);
	cr_assert_null(s.cpus_allowed_list);
	proc_status_done(&s);
}

Test(proc_status, another_order_is_read_too)
{
	struct proc_status s;

	cr_assert_eq(
		proc_status_parse("Threads:\t4\nCpus_allowed:\tff\nPid:\t5\nName:\t\n", &s), 0);
	cr_assert_eq(s.threads, 4);
	cr_assert_eq(s.pid, 5);
	cr_assert_str_eq(s.name, "");
	cr_assert_str_eq(s.cpus_allowed, "ff");
	proc_status_done(&s);
}

Test(proc_status, malformed_lines_are_refused)
{
	static const char *const bad[] = {
		"",
		"Name:\tx\n", /* no pid */
		"Pid:\t\n",
		"Pid:\t99999999999\n",
		"Pid:\t1\nUid:\t1\t2\t3\n",
		"Pid:\t1\nUid:\t1\t2\t3\t4\t5\n",
		"Pid:\t1\nGroups:\t1 x\n",
		"Pid:\t1\nSigBlk:\t11111111111111111\n",
		"Pid:\t1\nUmask:\t9\n",
		"Cpus_allowed:\t3\nPid:\tx\n",
	};
	struct proc_status s;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(proc_status_parse(bad[i], &s), -EBADMSG, "text %zu", i);
}

Test(proc_status, thousands_of_groups)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct proc_status s;
	uint32_t i;

	strbuf_add(&sb, "Pid:\t1\nGroups:\t");
	for (i = 0; i < 65536; i++)
		strbuf_addf(&sb, "%u ", i);
	cr_assert_eq(strbuf_add(&sb, "\nThreads:\t2\n"), 0);
	cr_assert_eq(proc_status_parse(sb.s, &s), 0);
	cr_assert_eq(s.n_groups, 65536);
	for (i = 0; i < 65536; i++)
		cr_assert_eq(s.groups[i], i);
	cr_assert_eq(s.threads, 2);
	proc_status_done(&s);
}

Test(proc_status, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(getpid());
	struct proc_status s;

	umask(031);
	cr_assert_eq(prctl(PR_SET_NAME, " a\\n\nb "), 0);
	cr_assert_eq(proc_status_read(procfd, 0, &s), 0);
	cr_assert_str_eq(s.name, " a\\n\nb ");
	cr_assert_eq(s.umask, 031);
	cr_assert_eq(s.tgid, getpid());
	cr_assert_eq(s.ns_pid.v[s.ns_pid.n - 1], (uint32_t)getpid());
	cr_assert_eq(s.uid[PROC_ID_EFFECTIVE], geteuid());
	cr_assert_eq(s.gid[PROC_ID_REAL], getgid());
	cr_assert_eq(s.n_groups, (size_t)getgroups(0, NULL));
	proc_status_done(&s);
	cr_assert_eq(proc_status_read(procfd, 0x3fffffff, &s), -ESRCH);
}
