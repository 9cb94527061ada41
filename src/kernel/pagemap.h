/*
 * Which pages of a process exist: /proc/PID/pagemap as runs of equal pages.
 *
 * Two ways to the same answer. PAGEMAP_SCAN (6.7) skips page tables that are not there, so that
 * terabytes of reservation cost nothing, and reports guard pages from 6.15 on. Without it eight
 * bytes per page are read, holes included: a VMA without pages must then be skipped by its counts
 * in smaps, which pagemap_scan_vma() does; a terabyte of sparsely used shadow memory costs seconds.
 *
 * What differs: by the entries PAGE_IS_HUGE is never set, PAGE_IS_PFNZERO only with CAP_SYS_ADMIN
 * (frame numbers are hidden otherwise). Without PAGE_IS_GUARD (6.13 and 6.14) a guard page looks
 * swapped out, and reading it gives EFAULT.
 */
#ifndef CKPT_KERNEL_PAGEMAP_H
#define CKPT_KERNEL_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/proc_maps.h"
#include "kernel/syscalls.h"

/* What a run tells, of enum page categories of kernel/syscalls.h. A guard page is never SWAPPED. */
#define PAGEMAP_CATEGORIES                                                                         \
	(PAGE_IS_FILE | PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO | PAGE_IS_HUGE |       \
		PAGE_IS_GUARD)

/* An entry of pagemap, Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_FRAME     ((1ULL << 55) - 1) /* its number, or where it is in the swap space */
#define PAGEMAP_EXCLUSIVE (1ULL << 56)       /* mapped once; never of a swapped page */
#define PAGEMAP_GUARD     (1ULL << 58)       /* 6.15 */
#define PAGEMAP_FILE      (1ULL << 61)       /* or shared anonymous */
#define PAGEMAP_SWAPPED   (1ULL << 62)
#define PAGEMAP_PRESENT   (1ULL << 63)

/* The layout is that of struct ckpt_page_region: the kernel writes into the array. */
struct page_run {
	uint64_t start, end; /* addresses; end is exclusive */
	uint64_t categories; /* PAGE_IS_* */
};

struct page_runs {
	struct page_run *v; /* in the order of the scans; adjacent equal runs are one */
	size_t n, cap;
};

struct pagemap {
	int fd;              /* owned; -EBADF when not open */
	uint64_t scan_mask;  /* categories that PAGEMAP_SCAN knows here; 0: read the entries */
	uint64_t page_bytes; /* of a base page */
	uint64_t zero_pfn;   /* frame of the zero page, 0 when unknown; only without PAGEMAP_SCAN */
};

/**
 * pagemap_open() - open the pagemap of a process and see which way the kernel offers
 * @procfd:  /proc/PID
 * @ret:     caller releases with pagemap_close(); untouched on failure
 * Return: 0; -ESRCH gone; -EACCES no ptrace access; -errno of open(2).
 */
int pagemap_open(int procfd, struct pagemap *ret);

/** pagemap_use_entries() - read the entries even where PAGEMAP_SCAN exists; right after opening */
void pagemap_use_entries(struct pagemap *pm);

/**
 * pagemap_find_only() - have scans tell no more than PRESENT, SWAPPED and GUARD; right after opening
 * What else they tell is in the descriptors of the page frames, and looking there is most of the cost.
 */
void pagemap_find_only(struct pagemap *pm);

/**
 * pagemap_zero_frame() - the frame of the zero page
 * Return: its number; 0 where frame numbers are hidden from us, which is without CAP_SYS_ADMIN in the
 * first user namespace.
 */
uint64_t pagemap_zero_frame(void);

/**
 * pagemap_entries() - the entries of a range as they are, one for each page
 * @ret: (@end - @start) / page_bytes of them
 * Return: 0; -ESRCH the memory is gone; -errno of pread(2).
 */
int pagemap_entries(const struct pagemap *pm, uint64_t start, uint64_t end, uint64_t *ret);

/**
 * pagemap_scan() - append the runs of pages that are present, swapped out or guards
 * @start, @end:  addresses, page aligned
 * @runs:         on failure it may hold part of the range
 * Return: 0; -ENOMEM; -ESRCH the memory is gone; -errno of ioctl(2) or pread(2).
 * Source: Documentation/admin-guide/mm/pagemap.rst.
 */
int pagemap_scan(const struct pagemap *pm, uint64_t start, uint64_t end, struct page_runs *runs);

/**
 * pagemap_scan_vma() - pagemap_scan() of one VMA, without a system call where it has no page
 * @vma:  of proc_smaps_read() (of proc_maps_read(): always scanned)
 * The zero page is not in the counts: a VMA that was only ever read is skipped, too.
 * Return: as pagemap_scan().
 */
int pagemap_scan_vma(const struct pagemap *pm, const struct vma *vma, struct page_runs *runs);

/** pagemap_close() - close; @pm is empty */
void pagemap_close(struct pagemap *pm);

/** page_runs_done() - free what @runs owns; @runs may be all zero */
void page_runs_done(struct page_runs *runs);

#endif
