/*
 * The table of features and the memory of what was tried: see the header.
 */
#include "kernel/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#include "kernel/probe_try.h"
#include "kernel/syscalls.h"

struct row {
	const char *name, *needed_for, *lost_without;
	bool required;
	probe_try_fn *try;
	long arg;
};

/* clang-format off: a row per feature */
static const struct row rows[FEATURE_COUNT] = {
	[FEATURE_CAP_SYS_PTRACE] = {"cap_sys_ptrace",
		"dumping processes of other users, or that are not dumpable",
		"only your own dumpable processes", false, try_capability, CAP_SYS_PTRACE},
	[FEATURE_CAP_CHECKPOINT_RESTORE] = {"cap_checkpoint_restore",
		"the same pids at restore, the exe link, mapped deleted files",
		"cap_sys_admin is needed instead", false, try_capability, CAP_CHECKPOINT_RESTORE},
	[FEATURE_CAP_SYS_ADMIN] = {"cap_sys_admin", "reading seccomp filters, namespaces",
		"programs with seccomp filters are refused", false, try_capability, CAP_SYS_ADMIN},
	[FEATURE_CAP_SETUID] = {"cap_setuid", "restoring processes of other users",
		"only processes with your own user ids", false, try_capability, CAP_SETUID},
	[FEATURE_CAP_SETGID] = {"cap_setgid", "restoring group ids and supplementary groups",
		"only processes with your own groups", false, try_capability, CAP_SETGID},
	[FEATURE_CAP_SETPCAP] = {"cap_setpcap", "a smaller bounding set, securebits",
		"processes with a reduced bounding set are refused", false, try_capability,
		CAP_SETPCAP},
	[FEATURE_CAP_SYS_RESOURCE] = {"cap_sys_resource",
		"hard limits above your own, a lower oom_score_adj, large pipes",
		"hard limits must not exceed those of the caller", false, try_capability,
		CAP_SYS_RESOURCE},
	[FEATURE_CAP_SYS_NICE] = {"cap_sys_nice", "real-time policies, negative nice values",
		"processes with raised priority are refused", false, try_capability, CAP_SYS_NICE},
	[FEATURE_CAP_SYS_CHROOT] = {"cap_sys_chroot", "processes with another root directory",
		"processes inside a chroot are refused", false, try_capability, CAP_SYS_CHROOT},
	[FEATURE_CAP_DAC_OVERRIDE] = {"cap_dac_override", "opening files of other users",
		"files must be accessible to the caller", false, try_capability, CAP_DAC_OVERRIDE},
	[FEATURE_CAP_IPC_LOCK] = {"cap_ipc_lock", "locked memory above the limit",
		"locked memory must fit RLIMIT_MEMLOCK", false, try_capability, CAP_IPC_LOCK},
	[FEATURE_CAP_NET_ADMIN] = {"cap_net_admin", "established TCP connections",
		"processes with TCP connections are refused", false, try_capability, CAP_NET_ADMIN},

	[FEATURE_PTRACE] = {"ptrace", "stopping a process", "nothing can be dumped", true,
		try_tracee, TRACEE_STOP},
	[FEATURE_MEM_WRITE] = {"proc_mem_write", "writing into the stopped process",
		"nothing can be dumped or restored", true, try_mem_write, 0},
	[FEATURE_PROCESS_VM] = {"process_vm_readv", "reading memory fast",
		"memory is read through /proc/PID/mem", false, try_process_vm, 0},
	[FEATURE_PIDFD_GETFD] = {"pidfd_getfd", "looking at open files",
		"processes with open files cannot be dumped", true, try_pidfd_getfd, 0},
	[FEATURE_KCMP] = {"kcmp", "seeing which tasks and descriptors share an object",
		"shared open files cannot be told apart", true, try_kcmp, 0},
	[FEATURE_SYSCALL_INFO] = {"ptrace_get_syscall_info", "telling system call stops apart",
		"nothing can be dumped", true, try_tracee, TRACEE_SYSCALL_INFO},
	[FEATURE_RSEQ_CONFIG] = {"ptrace_rseq_config", "restartable sequences (glibc >= 2.35)",
		"programs that use them are refused", false, try_tracee, TRACEE_RSEQ},
	[FEATURE_SUD_CONFIG] = {"ptrace_sud_config", "syscall user dispatch (Wine)",
		"programs that use it are refused", false, try_tracee, TRACEE_SUD},
	[FEATURE_SECCOMP_GET_FILTER] = {"seccomp_get_filter", "programs with seccomp filters",
		"programs with seccomp filters are refused", false, try_tracee, TRACEE_FILTER},
	[FEATURE_SUSPEND_SECCOMP] = {"ptrace_suspend_seccomp",
		"system calls that a filter forbids, while restoring",
		"filters are restored as the last step only", false, try_tracee, TRACEE_SUSPEND},
	[FEATURE_MAP_FILES] = {"map_files", "mapped files that were deleted or renamed",
		"processes with such mappings are refused", false, try_map_files, 0},
	[FEATURE_TIMERS_FILE] = {"proc_timers", "POSIX timers",
		"timers of a process cannot be seen", false, try_proc_file, PROC_FILE_TIMERS},
	[FEATURE_SCHED_FILE] = {"proc_sched", "the remaining time of an interrupted sleep",
		"such sleeps begin anew or end early", false, try_proc_file, PROC_FILE_SCHED},
	[FEATURE_MEMBARRIER_GET] = {"membarrier_get_registrations", "membarrier registrations",
		"they are not restored", false, try_membarrier, 0},

	[FEATURE_PAGEMAP_SCAN] = {"pagemap_scan", "finding pages fast",
		"pagemap entries are read one by one", false, try_pagemap, 0},
	[FEATURE_PAGEMAP_GUARD] = {"pagemap_guard", "guard pages (MADV_GUARD_INSTALL)",
		"guard pages cannot be told from swapped ones", false, try_pagemap, PAGE_IS_GUARD},
	[FEATURE_PAGEMAP_PFN] = {"pagemap_pfn", "memory shared copy-on-write between processes",
		"such memory is stored once per process", false, try_pagemap_pfn, 0},
	[FEATURE_SOFT_DIRTY] = {"soft_dirty", "incremental dumps without userfaultfd",
		"incremental dumps need uffd_wp_async", false, try_soft_dirty, 0},
	[FEATURE_UFFD] = {"userfaultfd", "lazy restore, fast filling of memory",
		"memory is written through /proc/PID/mem", false, try_uffd, 0},
	[FEATURE_UFFD_KERNEL_FAULTS] = {"uffd_kernel_faults", "lazy restore of system call buffers",
		"no lazy restore", false, try_uffd_kernel_faults, 0},
	[FEATURE_UFFD_WP_ASYNC] = {"uffd_wp_async", "incremental dumps",
		"soft_dirty is used where it works, else all pages are saved", false, try_uffd,
		(long)(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED)},
	[FEATURE_UFFD_POISON] = {"uffd_poison", "a lazy restore whose source is lost",
		"such a process is killed", false, try_uffd, (long)UFFD_FEATURE_POISON},

	[FEATURE_SET_TID] = {"clone3_set_tid", "the same pids and thread ids at restore",
		"nothing can be restored", true, try_set_tid, 0},
	[FEATURE_MM_MAP] = {"prctl_mm_map", "heap bounds, arguments and environment at restore",
		"nothing can be restored", true, try_mm_map, 0},
	[FEATURE_VDSO] = {"vdso", "where code is placed in a stopped process",
		"a page of the program is used instead", false, try_vdso, 0},
	[FEATURE_VDSO_MAP] = {"arch_map_vdso", "a vdso at the place of the dumped one",
		"the restorer's own vdso is moved", false, try_vdso_map, 0},
	[FEATURE_TIMER_IDS] = {"timer_restore_ids", "timer ids at once",
		"ids are reached by creating and deleting timers", false, try_timer_ids, 0},
	[FEATURE_TIME_NAMESPACE] = {"time_namespace",
		"a monotonic clock that goes on after a reboot", "CLOCK_MONOTONIC may jump", false,
		try_time_namespace, 0},
	[FEATURE_GUARD_INSTALL] = {"madv_guard_install", "restoring guard pages",
		"processes with guard pages are refused", false, try_guard, 0},
	[FEATURE_MSEAL] = {"mseal", "restoring sealed memory",
		"processes with sealed memory are refused", false, try_mseal, 0},
	[FEATURE_DROPPABLE] = {"map_droppable", "restoring droppable memory (vgetrandom)",
		"ordinary memory takes its place", false, try_droppable, 0},
	[FEATURE_ANON_NAME] = {"anon_vma_name", "names of anonymous memory",
		"names are not restored", false, try_anon_name, 0},
	[FEATURE_PKEYS] = {"protection_keys", "memory protection keys",
		"processes that use them are refused", false, try_pkeys, 0},
	[FEATURE_IO_URING_NO_MMAP] = {"io_uring_no_mmap", "io_uring",
		"processes that use it are refused", false, try_io_uring, 0},
	[FEATURE_SYSV_IDS] = {"sysv_next_id",
		"System V shared memory, semaphores and queues that are gone",
		"they are only found again where they are there still", false, try_sysv_ids, 0},

	[FEATURE_TCP_REPAIR] = {"tcp_repair", "connections of TCP",
		"processes with connections are refused", false, try_tcp_repair, 0},
	[FEATURE_NFTABLES] = {"nftables", "keeping peers waiting while their program is gone",
		"the kernel may answer the peers of connections with a reset", false, try_netlock,
		0},
	[FEATURE_TCP_BACKLOG] = {"tcp_backlog", "connections that nobody has accepted yet",
		"a dump waits for them for a moment, then their clients are reset", false,
		try_tcp_backlog, 0},
};
/* clang-format on */

/* The kept answers: 0 not tried yet, else 1 + enum kernel_feature_state. Two threads that try at
 * once store the same. */
static atomic_uchar answers[FEATURE_COUNT];

void probe_found(struct kernel_feature *ret, const char *fmt, ...)
{
	va_list ap;

	ret->state = FEATURE_PRESENT;
	va_start(ap, fmt);
	vsnprintf(ret->detail, sizeof(ret->detail), fmt, ap);
	va_end(ap);
}

void probe_absent(struct kernel_feature *ret, const char *why)
{
	ret->state = FEATURE_ABSENT;
	snprintf(ret->detail, sizeof(ret->detail), "%s", why);
}

void probe_result(struct kernel_feature *ret, int r, const char *call)
{
	const char *name;

	if (r >= 0) {
		probe_found(ret, "%s", "");
		return;
	}
	ret->state = r == -EPERM || r == -EACCES ? FEATURE_DENIED : FEATURE_ABSENT;
	name = strerrorname_np(-r);
	snprintf(ret->detail, sizeof(ret->detail), "%s: %s", call, name ? name : "unknown error");
}

void kernel_probe(enum kernel_feature_id id, struct kernel_feature *ret)
{
	const struct row *row = &rows[id];

	*ret = (struct kernel_feature){
		.name = row->name,
		.needed_for = row->needed_for,
		.lost_without = row->lost_without,
		.required = row->required,
	};
	row->try(row->arg, ret);
	atomic_store(&answers[id], (unsigned char)(1 + ret->state));
}

bool kernel_has(enum kernel_feature_id id)
{
	unsigned char answer = atomic_load(&answers[id]);
	struct kernel_feature f;

	if (answer)
		return answer == 1 + FEATURE_PRESENT;
	kernel_probe(id, &f);
	return f.state == FEATURE_PRESENT;
}
