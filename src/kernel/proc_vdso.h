/*
 * proc_vdso.h - where the vdso of a process is.
 */
#ifndef CKPT_KERNEL_PROC_VDSO_H
#define CKPT_KERNEL_PROC_VDSO_H

#include <stdint.h>

/**
 * proc_vdso_find() - the mapping of a process's vdso
 * @procfd:    /proc/PID
 * @ret_start: 0, like @ret_end, where it has none; untouched on failure
 * Return: 0; -EACCES, -EPERM; -ESRCH it is gone; -errno of reading its memory map.
 * Source: PROCMAP_QUERY of Linux 6.11 at AT_SYSINFO_EHDR (getauxval(3)); the whole map before, and where
 *         the program has moved it.
 */
int proc_vdso_find(int procfd, uint64_t *ret_start, uint64_t *ret_end);

#endif
