/*
 * thp.h - transparent huge pages: what the system gives without being asked.
 */
#ifndef CKPT_KERNEL_THP_H
#define CKPT_KERNEL_THP_H

#include <stdint.h>

/**
 * thp_always_bytes() - the smallest size of huge pages that a fault in any anonymous memory may be given
 * @dir: as "/sys/kernel/mm/transparent_hugepage"
 * Return: bytes; 0 where there are none, or only for memory whose program has asked (madvise).
 * Source: Documentation/admin-guide/mm/transhuge.rst; one directory for each size since Linux 6.8,
 *         before that there is only the one of hpage_pmd_size.
 */
uint64_t thp_always_bytes(const char *dir);

#endif
