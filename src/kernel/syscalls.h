/*
 * Kernel interfaces newer than the headers that we build with (Linux 6.1 in Debian 12).
 *
 * Numbers, requests and structures only, each with the version that brought it. A constant is
 * guarded, so that newer headers win; a structure has a name of our own, so that both can stand in
 * one file. Whether the running kernel knows an interface is asked by kernel/probe.h, never by
 * version.
 */
#ifndef CKPT_KERNEL_SYSCALLS_H
#define CKPT_KERNEL_SYSCALLS_H

#include <linux/ioctl.h>
#include <stdint.h>
#include <sys/syscall.h>

/* The generic numbers, equal on all architectures since 424. */
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448 /* 5.15 */
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453 /* 6.6 */
#endif
#ifndef SYS_futex_wait
#define SYS_futex_wait 455 /* 6.7 */
#endif
#ifndef SYS_statmount
#define SYS_statmount 457 /* 6.8 */
#endif
#ifndef SYS_listmount
#define SYS_listmount 458 /* 6.8 */
#endif
#ifndef SYS_mseal
#define SYS_mseal 462 /* 6.10 */
#endif

/* ioctl(2) of a pidfd; what is known of the process's end: 6.15 */
struct pidfd_info_ckpt {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
#ifndef PIDFD_GET_INFO
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info_ckpt)
#endif
#ifndef PIDFD_INFO_EXIT
#define PIDFD_INFO_EXIT (1UL << 3)
#endif

/* madvise(2) */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 */
#define MADV_GUARD_REMOVE  103
#endif

/* mmap(2): a type of its own beside MAP_SHARED and MAP_PRIVATE */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* 6.11 */
#endif

/* prctl(2) */
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS     77 /* 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON  1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* 6.3 */
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* 6.4 */
#define PR_GET_MEMORY_MERGE 68
#endif

/* membarrier(2). An enumerator in the headers, so it has a name of our own. */
#define MEMBARRIER_GET_REGISTRATIONS (1 << 9) /* 6.3 */

/* fcntl(2): whether two descriptors are of one description */
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3) /* 6.10 */
#endif

/* socket(7) */
#ifndef SO_SNDBUFFORCE
#define SO_SNDBUFFORCE 32
#define SO_RCVBUFFORCE 33
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* 5.15 */
#endif
#define SNDBUF_LOCK 1 /* of SO_BUF_LOCK: who set a size is let have it */
#define RCVBUF_LOCK 2
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* 6.5 */
#endif

/* pidfd_open(2): of a thread */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD 00000200 /* O_EXCL, 6.9 */
#endif

/* io_uring_setup(2): rings in memory of the caller */
#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1U << 14) /* 6.5 */
#endif

/* userfaultfd(2) */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1ULL << 13) /* 6.4 */
#define UFFD_FEATURE_POISON         (1ULL << 14) /* 6.6 */
#define UFFD_FEATURE_WP_ASYNC       (1ULL << 15) /* 6.7 */
#define UFFD_FEATURE_MOVE           (1ULL << 16) /* 6.8 */
#endif

struct ckpt_uffdio_poison {
	uint64_t start, len;
	uint64_t mode;
	int64_t updated;
};
#ifndef UFFDIO_POISON
#define UFFDIO_POISON _IOWR(0xAA, 0x08, struct ckpt_uffdio_poison) /* 6.6 */
#endif

/* The PAGEMAP_SCAN request on /proc/PID/pagemap, 6.7 */
struct ckpt_page_region {
	uint64_t start, end; /* addresses */
	uint64_t categories; /* PAGE_IS_* */
};

struct ckpt_pm_scan_arg {
	uint64_t size; /* of this structure */
	uint64_t flags;
	uint64_t start, end;
	uint64_t walk_end; /* out: where the walk stopped */
	uint64_t vec;      /* address of struct ckpt_page_region[] */
	uint64_t vec_len;  /* elements */
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN          _IOWR('f', 16, struct ckpt_pm_scan_arg)
#define PAGE_IS_WPALLOWED     (1 << 0)
#define PAGE_IS_WRITTEN       (1 << 1)
#define PAGE_IS_FILE          (1 << 2)
#define PAGE_IS_PRESENT       (1 << 3)
#define PAGE_IS_SWAPPED       (1 << 4)
#define PAGE_IS_PFNZERO       (1 << 5)
#define PAGE_IS_HUGE          (1 << 6)
#define PAGE_IS_SOFT_DIRTY    (1 << 7)
#define PM_SCAN_WP_MATCHING   (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8) /* 6.15 */
#endif

/* The PROCMAP_QUERY request on /proc/PID/maps, 6.11: of the mapping at an address */
struct ckpt_procmap_query {
	uint64_t size; /* of this structure */
	uint64_t flags;
	uint64_t addr;
	uint64_t start, end; /* out, like all that follows but the sizes and addresses of buffers */
	uint64_t vma_flags;
	uint64_t page_size;
	uint64_t offset;
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	uint32_t name_size; /* with its zero; 0: it is not asked for */
	uint32_t build_id_size;
	uint64_t name_addr;
	uint64_t build_id_addr;
};
#ifndef PROCMAP_QUERY
#define PROCMAP_QUERY _IOWR('f', 17, struct ckpt_procmap_query)
#endif

/* ptrace(2): syscall user dispatch. Enumerators in some headers, so names of our own. */
#define PTRACE_SUD_SET_CONFIG 0x4210 /* 6.4 */
#define PTRACE_SUD_GET_CONFIG 0x4211

#endif
