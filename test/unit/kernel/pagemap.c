/*
 * The pagemap of this process, over mappings whose pages the test knows, both ways.
 */
#include "kernel/pagemap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/vec.h"

#define PAGE    4096UL
#define FREE_NS 100000000 /* of CPU time; to look at every page of a terabyte takes seconds */

static uint64_t addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static struct pagemap open_own(bool entries)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct pagemap pm;

	cr_assert_eq(pagemap_open(procfd, &pm), 0);
	if (entries)
		pagemap_use_entries(&pm);
	return pm;
}

static char *map(size_t pages, int prot)
{
	char *p =
		mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

/* Pages 1 and 2 and 5 written, 7 only read. */
static void expect_pattern(bool entries)
{
	struct pagemap pm = open_own(entries);
	char *p = map(10, PROT_READ | PROT_WRITE);
	struct page_runs runs = {};

	p[1 * PAGE] = p[2 * PAGE] = p[5 * PAGE] = 1;
	(void)*(volatile char *)(p + 7 * PAGE);
	cr_assert_eq(pagemap_scan(&pm, addr(p), addr(p) + 10 * PAGE, &runs), 0);
	cr_assert_eq(runs.n, 3);
	cr_assert_eq(runs.v[0].start, addr(p) + 1 * PAGE);
	cr_assert_eq(runs.v[0].end, addr(p) + 3 * PAGE);
	cr_assert_eq(runs.v[0].categories, PAGE_IS_PRESENT);
	cr_assert_eq(runs.v[1].start, addr(p) + 5 * PAGE);
	cr_assert_eq(runs.v[1].end, addr(p) + 6 * PAGE);
	cr_assert_eq(runs.v[2].start, addr(p) + 7 * PAGE);
	cr_assert_eq(runs.v[2].end, addr(p) + 8 * PAGE);
	cr_assert(runs.v[2].categories & PAGE_IS_PRESENT);
	if (pm.scan_mask || pm.zero_pfn)
		cr_assert(runs.v[2].categories & PAGE_IS_PFNZERO);
	page_runs_done(&runs);
	pagemap_close(&pm);
	cr_assert_eq(pm.fd, -EBADF);
}

Test(pagemap, pattern_by_scan)
{
	expect_pattern(false);
}

Test(pagemap, pattern_by_entries)
{
	expect_pattern(true);
}

/* Every second page of more pages than one batch of either way holds. */
static void expect_chessboard(bool entries)
{
	struct pagemap pm = open_own(entries);
	struct page_runs runs = {};
	size_t pages = 10001, i;
	char *p = map(pages, PROT_READ | PROT_WRITE);

	for (i = 0; i < pages; i += 2)
		p[i * PAGE] = 1;
	cr_assert_eq(pagemap_scan(&pm, addr(p), addr(p) + pages * PAGE, &runs), 0);
	cr_assert_eq(runs.n, 5001);
	for (i = 0; i < runs.n; i++) {
		cr_assert_eq(runs.v[i].start, addr(p) + 2 * i * PAGE);
		cr_assert_eq(runs.v[i].end, runs.v[i].start + PAGE);
	}
	page_runs_done(&runs);

	/* Filled up it is one run, across the seams of the batches too. */
	memset(p, 1, pages * PAGE);
	cr_assert_eq(pagemap_scan(&pm, addr(p), addr(p) + pages * PAGE, &runs), 0);
	cr_assert_eq(runs.n, 1);
	cr_assert_eq(runs.v[0].start, addr(p));
	cr_assert_eq(runs.v[0].end, addr(p) + pages * PAGE);
	page_runs_done(&runs);
	pagemap_close(&pm);
}

Test(pagemap, chessboard_by_scan)
{
	expect_chessboard(false);
}

Test(pagemap, chessboard_by_entries)
{
	expect_chessboard(true);
}

static void expect_shared(bool entries)
{
	struct pagemap pm = open_own(entries);
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct page_runs runs = {};

	p[3 * PAGE] = 1;
	cr_assert_eq(pagemap_scan(&pm, addr(p), addr(p) + 4 * PAGE, &runs), 0);
	cr_assert_eq(runs.n, 1);
	cr_assert_eq(runs.v[0].start, addr(p) + 3 * PAGE);
	cr_assert_eq(runs.v[0].categories, PAGE_IS_PRESENT | PAGE_IS_FILE);
	page_runs_done(&runs);
	pagemap_close(&pm);
}

Test(pagemap, shared_memory_is_file_by_scan)
{
	expect_shared(false);
}

Test(pagemap, shared_memory_is_file_by_entries)
{
	expect_shared(true);
}

static void expect_guard(bool entries)
{
	struct pagemap pm = open_own(entries);
	char *p = map(4, PROT_READ | PROT_WRITE);
	struct page_runs runs = {};

	if (madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL) < 0 ||
		!(open_own(false).scan_mask & PAGE_IS_GUARD)) {
		pagemap_close(&pm);
		cr_skip_test("guard pages need Linux 6.15");
	}
	p[2 * PAGE] = 1;
	cr_assert_eq(pagemap_scan(&pm, addr(p), addr(p) + 4 * PAGE, &runs), 0);
	cr_assert_eq(runs.n, 2);
	cr_assert_eq(runs.v[0].start, addr(p) + PAGE);
	cr_assert_eq(runs.v[0].end, addr(p) + 2 * PAGE);
	cr_assert_eq(runs.v[0].categories, PAGE_IS_GUARD);
	cr_assert_eq(runs.v[1].categories, PAGE_IS_PRESENT);
	page_runs_done(&runs);
	pagemap_close(&pm);
}

Test(pagemap, guard_by_scan)
{
	expect_guard(false);
}

Test(pagemap, guard_by_entries)
{
	expect_guard(true);
}

Test(pagemap, a_vma_with_only_a_guard_is_not_skipped)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct pagemap pm = open_own(false);
	char *p = map(16, PROT_READ | PROT_WRITE);
	struct page_runs runs = {};
	struct vma_list l = {};
	const struct vma *vma;

	if (madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL) < 0 || !(pm.scan_mask & PAGE_IS_GUARD))
		cr_skip_test("guard pages need Linux 6.15");
	/* A mapping of its own between inaccessible neighbours. */
	cr_assert_eq(mprotect(p, PAGE, PROT_NONE), 0);
	cr_assert_eq(mprotect(p + 8 * PAGE, PAGE, PROT_NONE), 0);
	cr_assert_eq(proc_smaps_read(procfd, &l), 0);
	vma = vma_list_find(&l, addr(p) + PAGE);
	cr_assert_eq(vma->start, addr(p) + PAGE);
	cr_assert_eq(vma->rss_bytes, 0);
	cr_assert_eq(pagemap_scan_vma(&pm, vma, &runs), 0);
	cr_assert_eq(runs.n, 1);
	cr_assert_eq(runs.v[0].categories, PAGE_IS_GUARD);
	vma_list_done(&l);
	page_runs_done(&runs);
	pagemap_close(&pm);
}

static void expect_terabyte(bool entries)
{
	_cleanup_close_ int procfd = proc_open(0);
	struct pagemap pm = open_own(entries);
	char *p = map((1UL << 40) / PAGE, PROT_NONE);
	struct page_runs runs = {};
	struct vma_list l = {};
	const struct vma *vma;
	uint64_t start;

	cr_assert_eq(proc_smaps_read(procfd, &l), 0);
	vma = vma_list_find(&l, addr(p));
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	cr_assert_eq(pagemap_scan_vma(&pm, vma, &runs), 0);
	cr_assert_lt(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start, FREE_NS);
	cr_assert_eq(runs.n, 0);
	vma_list_done(&l);
	page_runs_done(&runs);
	pagemap_close(&pm);
}

Test(pagemap, terabyte_reservation_is_free_by_scan)
{
	expect_terabyte(false);
}

Test(pagemap, terabyte_reservation_is_free_by_entries)
{
	expect_terabyte(true);
}

Test(pagemap, scan_skips_holes_of_a_sparse_terabyte)
{
	struct pagemap pm = open_own(false);
	char *p = map((1UL << 40) / PAGE, PROT_READ | PROT_WRITE);
	struct page_runs runs = {};
	uint64_t start;

	if (!pm.scan_mask)
		cr_skip_test("PAGEMAP_SCAN needs Linux 6.7");
	p[0] = p[(1UL << 40) - PAGE] = 1;
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	cr_assert_eq(pagemap_scan(&pm, addr(p), addr(p) + (1UL << 40), &runs), 0);
	cr_assert_lt(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start, FREE_NS);
	cr_assert_eq(runs.n, 2);
	cr_assert_eq(runs.v[1].end, addr(p) + (1UL << 40));
	page_runs_done(&runs);
	pagemap_close(&pm);
}

Test(pagemap, refuses_unaligned_and_reversed_ranges)
{
	struct pagemap pm = open_own(false);
	struct page_runs runs = {};

	cr_assert_eq(pagemap_scan(&pm, 1, PAGE, &runs), -EINVAL);
	cr_assert_eq(pagemap_scan(&pm, 2 * PAGE, PAGE, &runs), -EINVAL);
	cr_assert_eq(pagemap_scan(&pm, PAGE, PAGE, &runs), 0);
	cr_assert_eq(runs.n, 0);
	pagemap_close(&pm);
}
