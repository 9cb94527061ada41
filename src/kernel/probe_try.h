/*
 * Private to probe*.c: the functions that try one feature each.
 */
#ifndef CKPT_KERNEL_PROBE_TRY_H
#define CKPT_KERNEL_PROBE_TRY_H

#include "kernel/probe.h"

/* Sets state and detail of @ret; @arg is the number in the feature's row. */
typedef void probe_try_fn(long arg, struct kernel_feature *ret);

/* The three endings of a try. @call names what answered. */
void probe_found(struct kernel_feature *ret, const char *fmt, ...)
	__attribute__((__format__(printf, 2, 3)));
void probe_absent(struct kernel_feature *ret, const char *why);
/* @r: 0 or more is found, -EPERM and -EACCES denied, another -errno absent. */
void probe_result(struct kernel_feature *ret, int r, const char *call);

/* Run @fn in a child. Return: what @fn returned, 0 or -errno; -errno of fork(2). */
int probe_in_child(int (*fn)(void));

/* probe_task.c */
probe_try_fn try_capability, try_tracee, try_mem_write, try_process_vm, try_pidfd_getfd, try_kcmp,
	try_map_files, try_proc_file, try_membarrier, try_set_tid, try_mm_map, try_timer_ids,
	try_time_namespace, try_io_uring, try_sysv_ids;

/* What try_tracee tries, in its @arg. */
enum { TRACEE_STOP, TRACEE_SYSCALL_INFO, TRACEE_RSEQ, TRACEE_SUD, TRACEE_FILTER, TRACEE_SUSPEND };

/* What try_proc_file tries, in its @arg. */
enum { PROC_FILE_TIMERS, PROC_FILE_SCHED };

/* probe_mm.c */
probe_try_fn try_pagemap, try_pagemap_pfn, try_soft_dirty, try_uffd, try_uffd_kernel_faults,
	try_vdso, try_vdso_map, try_guard, try_mseal, try_droppable, try_anon_name, try_pkeys;

/* probe_net.c */
probe_try_fn try_tcp_repair, try_netlock, try_tcp_backlog;

#endif
