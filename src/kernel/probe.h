/*
 * What the running kernel can do, and what this process may do: found by trying, never by version.
 *
 * Distributions backport, configurations differ, and a security module or a container may forbid
 * what the kernel knows; some interfaces even claim success and do nothing (clear_refs without
 * CONFIG_MEM_SOFT_DIRTY). Each feature is one row of a table with the function that tries it.
 * Trying is lazy, one feature at a time, and the answer is kept for the life of the process, as
 * kernel and capabilities do not change under it; kernel_probe() asks anew.
 */
#ifndef CKPT_KERNEL_PROBE_H
#define CKPT_KERNEL_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum kernel_feature_id {
	/* What this process may do */
	FEATURE_CAP_SYS_PTRACE,
	FEATURE_CAP_CHECKPOINT_RESTORE,
	FEATURE_CAP_SYS_ADMIN,
	FEATURE_CAP_SETUID,
	FEATURE_CAP_SETGID,
	FEATURE_CAP_SETPCAP,
	FEATURE_CAP_SYS_RESOURCE,
	FEATURE_CAP_SYS_NICE,
	FEATURE_CAP_SYS_CHROOT,
	FEATURE_CAP_DAC_OVERRIDE,
	FEATURE_CAP_IPC_LOCK,
	FEATURE_CAP_NET_ADMIN,
	/* Freezing and looking */
	FEATURE_PTRACE,
	FEATURE_MEM_WRITE,
	FEATURE_PROCESS_VM,
	FEATURE_PIDFD_GETFD,
	FEATURE_KCMP,
	FEATURE_SYSCALL_INFO,
	FEATURE_RSEQ_CONFIG,
	FEATURE_SUD_CONFIG,
	FEATURE_SECCOMP_GET_FILTER,
	FEATURE_SUSPEND_SECCOMP,
	FEATURE_MAP_FILES,
	FEATURE_TIMERS_FILE,
	FEATURE_SCHED_FILE,
	FEATURE_MEMBARRIER_GET,
	/* Pages */
	FEATURE_PAGEMAP_SCAN,
	FEATURE_PAGEMAP_GUARD,
	FEATURE_PAGEMAP_PFN,
	FEATURE_SOFT_DIRTY,
	FEATURE_UFFD,
	FEATURE_UFFD_KERNEL_FAULTS,
	FEATURE_UFFD_WP_ASYNC,
	FEATURE_UFFD_POISON,
	/* Building a process */
	FEATURE_SET_TID,
	FEATURE_MM_MAP,
	FEATURE_VDSO,
	FEATURE_VDSO_MAP,
	FEATURE_TIMER_IDS,
	FEATURE_TIME_NAMESPACE,
	FEATURE_GUARD_INSTALL,
	FEATURE_MSEAL,
	FEATURE_DROPPABLE,
	FEATURE_ANON_NAME,
	FEATURE_PKEYS,
	FEATURE_IO_URING_NO_MMAP,
	FEATURE_SYSV_IDS,
	/* Connections */
	FEATURE_TCP_REPAIR,
	FEATURE_NFTABLES,
	FEATURE_TCP_BACKLOG,
	FEATURE_COUNT,
};

enum kernel_feature_state {
	FEATURE_ABSENT, /* the kernel, or the CPU, lacks it */
	FEATURE_DENIED, /* it is there, this process may not use it */
	FEATURE_PRESENT,
};

/* One row as `ckpt check` prints it. The strings but @detail are static. */
struct kernel_feature {
	const char *name; /* stable: "set_tid" */
	const char *needed_for;
	const char *lost_without; /* what does not work without it, or which slower way is taken */
	bool required;            /* no dump or no restore at all without it */
	enum kernel_feature_state state;
	char detail
		[96]; /* numbers found, or the system call and errno that said no; may be empty */
};

/**
 * kernel_probe() - try one feature now
 * @id:   below FEATURE_COUNT
 * @ret:  all fields are set; owns nothing
 * May create and reap a short-lived child. Cost: microseconds, or under a millisecond with a child; of
 * FEATURE_TCP_BACKLOG some milliseconds, or a second where nothing comes of it.
 */
void kernel_probe(enum kernel_feature_id id, struct kernel_feature *ret);

/**
 * kernel_has() - whether a feature is there and allowed; tried at the first call only
 * Safe to call from several threads.
 */
bool kernel_has(enum kernel_feature_id id);

/**
 * kernel_uffd_features() - the UFFD_FEATURE_* bits that userfaultfd(2) offers
 * Return: the bits; 0 when there is no userfaultfd or it is not allowed.
 */
uint64_t kernel_uffd_features(void);

#endif
