/*
 * PAGEMAP_SCAN, and the reading of entries where the kernel lacks it: see the header.
 */
#include "kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"
#include "util/vec.h"

_Static_assert(sizeof(struct page_run) == sizeof(struct ckpt_page_region),
	"the kernel writes regions into an array of runs");

#define SCAN_BATCH  512  /* regions per ioctl at least */
#define ENTRY_BATCH 4096 /* entries per read: 32 KiB, 16 MiB of memory */

/* The entry of an own page that was only read: the frame of the zero page. */
static uint64_t zero_pfn_find(size_t page_bytes)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *p = mmap(NULL, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry = 0;

	if (p == MAP_FAILED)
		return 0;
	(void)*(volatile char *)p;
	if (fd < 0 ||
		pread_full(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / page_bytes * 8)) < 0)
		entry = 0;
	munmap(p, page_bytes);
	return entry & PAGEMAP_PRESENT ? entry & PAGEMAP_FRAME : 0;
}

void pagemap_use_entries(struct pagemap *pm)
{
	pm->scan_mask = 0;
	pm->zero_pfn = zero_pfn_find(pm->page_bytes);
}

void pagemap_find_only(struct pagemap *pm)
{
	pm->scan_mask &= PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_GUARD;
}

uint64_t pagemap_zero_frame(void)
{
	return zero_pfn_find((size_t)sysconf(_SC_PAGESIZE));
}

int pagemap_entries(const struct pagemap *pm, uint64_t start, uint64_t end, uint64_t *ret)
{
	int r = pread_full(pm->fd, ret, (end - start) / pm->page_bytes * 8,
		(off_t)(start / pm->page_bytes * 8));

	return r == -ENODATA ? -ESRCH : r;
}

/* Whether the kernel accepts all categories of @mask: an empty range asks nothing else. */
static bool scan_accepts(int fd, uint64_t mask)
{
	struct ckpt_page_region region;
	struct ckpt_pm_scan_arg arg = {
		.size = sizeof(arg),
		.vec = (uint64_t)(uintptr_t)&region,
		.vec_len = 1,
		.category_anyof_mask = mask,
		.return_mask = mask,
	};

	return ioctl(fd, PAGEMAP_SCAN, &arg) >= 0;
}

int pagemap_open(int procfd, struct pagemap *ret)
{
	struct pagemap pm = {.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};

	pm.fd = openat(procfd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (pm.fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (scan_accepts(pm.fd, PAGEMAP_CATEGORIES))
		pm.scan_mask = PAGEMAP_CATEGORIES;
	else if (scan_accepts(pm.fd, PAGEMAP_CATEGORIES & ~PAGE_IS_GUARD))
		pm.scan_mask = PAGEMAP_CATEGORIES & ~PAGE_IS_GUARD;
	else
		pagemap_use_entries(&pm);
	*ret = pm;
	return 0;
}

/* Append @run, or lengthen the last one. @run may lie behind the end of the array itself. */
static void runs_append(struct page_runs *runs, const struct page_run *run)
{
	struct page_run *last = runs->n > 0 ? &runs->v[runs->n - 1] : NULL;

	if (last && last->end == run->start && last->categories == run->categories)
		last->end = run->end;
	else
		runs->v[runs->n++] = *run;
}

/* The kernel calls a guard page swapped as well. */
static uint64_t categories_clean(uint64_t categories)
{
	return categories & PAGE_IS_GUARD ? PAGE_IS_GUARD : categories;
}

static int scan_ioctl(
	const struct pagemap *pm, uint64_t start, uint64_t end, struct page_runs *runs)
{
	while (start < end) {
		struct ckpt_pm_scan_arg arg = {
			.size = sizeof(arg),
			.start = start,
			.end = end,
			.category_anyof_mask =
				pm->scan_mask & (PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_GUARD),
			.return_mask = pm->scan_mask,
		};
		size_t first = runs->n;
		uint64_t next;
		long got, i;

		if (vec_reserve(&runs->v, &runs->cap, first + SCAN_BATCH, sizeof(*runs->v)) < 0)
			return -ENOMEM;
		arg.vec = (uint64_t)(uintptr_t)(runs->v + first);
		arg.vec_len = runs->cap - first;
		got = ioctl(pm->fd, PAGEMAP_SCAN, &arg);
		if (got < 0)
			return -errno;
		/* Where the walk took several rounds of the kernel's own buffer, walk_end is left
		 * at the start of its last round although all of it was walked (seen on 6.18): what
		 * was reported must not be asked for again. */
		next = arg.walk_end;
		if (got > 0)
			next = MAX(next, runs->v[first + (size_t)got - 1].end);
		for (i = 0; i < got; i++) {
			struct page_run run = runs->v[first + (size_t)i];

			run.categories = categories_clean(run.categories);
			runs_append(runs, &run);
		}
		/* No progress would mean an endless loop in a kernel that answers oddly. */
		if (next <= start)
			return -EIO;
		start = next;
	}
	return 0;
}

static uint64_t entry_categories(const struct pagemap *pm, uint64_t entry)
{
	uint64_t categories = 0;

	if (entry & PAGEMAP_GUARD)
		return PAGE_IS_GUARD;
	if (entry & PAGEMAP_PRESENT)
		categories = PAGE_IS_PRESENT;
	else if (entry & PAGEMAP_SWAPPED)
		categories = PAGE_IS_SWAPPED;
	else
		return 0;
	if (entry & PAGEMAP_FILE)
		categories |= PAGE_IS_FILE;
	if (pm->zero_pfn && (entry & PAGEMAP_PRESENT) && (entry & PAGEMAP_FRAME) == pm->zero_pfn)
		categories |= PAGE_IS_PFNZERO;
	return categories;
}

static int scan_entries(
	const struct pagemap *pm, uint64_t start, uint64_t end, struct page_runs *runs)
{
	uint64_t entries[ENTRY_BATCH];

	while (start < end) {
		size_t n = (size_t)MIN((end - start) / pm->page_bytes, (uint64_t)ENTRY_BATCH), i;
		int r = pagemap_entries(pm, start, start + n * pm->page_bytes, entries);

		if (r < 0)
			return r;
		if (vec_reserve(&runs->v, &runs->cap, runs->n + n, sizeof(*runs->v)) < 0)
			return -ENOMEM;
		for (i = 0; i < n; i++, start += pm->page_bytes) {
			struct page_run run = {
				.start = start,
				.end = start + pm->page_bytes,
				.categories = entry_categories(pm, entries[i]),
			};

			if (run.categories)
				runs_append(runs, &run);
		}
	}
	return 0;
}

int pagemap_scan(const struct pagemap *pm, uint64_t start, uint64_t end, struct page_runs *runs)
{
	if ((start | end) & (pm->page_bytes - 1) || start > end)
		return -EINVAL;
	return pm->scan_mask ? scan_ioctl(pm, start, end, runs)
			     : scan_entries(pm, start, end, runs);
}

int pagemap_scan_vma(const struct pagemap *pm, const struct vma *vma, struct page_runs *runs)
{
	bool counted = vma->kernel_page_bytes != 0;

	if (counted && vma->rss_bytes + vma->swap_bytes + vma->hugetlb_bytes == 0 &&
		!(vma->vmflags & VMF_GU))
		return 0;
	return pagemap_scan(pm, vma->start, vma->end, runs);
}

void pagemap_close(struct pagemap *pm)
{
	pm->fd = fd_close(pm->fd);
}

void page_runs_done(struct page_runs *runs)
{
	free(runs->v);
	*runs = (struct page_runs){};
}
