/*
 * Holds: private anonymous memory: pages with a pattern, pages written with zeros, pages only read,
 * pages never touched, in runs of every length up to seven, in one mapping of 64 MiB.
 * Shows: Memory: "private anonymous"; what was never touched costs no memory afterwards either.
 */
#include "mm.h"

#define PAGES 16384

enum kind { PATTERN, ZEROS, READ, HOLE };

/* Runs of 1 to 7 pages; the kinds follow each other in a fixed disorder. */
static enum kind kind_of(size_t page)
{
	size_t run = page / 28 * 7, at = page % 28;

	for (size_t len = 1; at >= len; len++, run++)
		at -= len;
	return mm_word(7, run) % 4;
}

int main(int argc, char **argv)
{
	char *p = mm_island(PAGES * MM_PAGE, PROT_READ | PROT_WRITE);
	size_t populated[4] = {0}, count[4] = {0};

	victim_init(argc, argv);
	MUST(madvise(p, PAGES * MM_PAGE, MADV_NOHUGEPAGE));
	for (size_t i = 0; i < PAGES; i++) {
		char *page = p + i * MM_PAGE;

		if (kind_of(i) == PATTERN)
			mm_fill(page, MM_PAGE, i);
		else if (kind_of(i) == ZEROS)
			memset(page, 0, MM_PAGE);
		else if (kind_of(i) == READ)
			mm_expect_zero(page, 8, "read page");
	}
	victim_ready();
	victim_wait();
	for (size_t i = 0; i < PAGES; i++) {
		count[kind_of(i)]++;
		populated[kind_of(i)] += mm_is_populated(p + i * MM_PAGE);
	}
	CHECK(count[HOLE] > PAGES / 8, "the test is broken: only %zu holes", count[HOLE]);
	CHECK(populated[HOLE] == 0, "%zu of %zu untouched pages are populated now", populated[HOLE],
		count[HOLE]);
	for (size_t i = 0; i < PAGES; i++) {
		if (kind_of(i) == PATTERN)
			mm_expect(p + i * MM_PAGE, MM_PAGE, i, "pattern page");
		else
			mm_expect_zero(p + i * MM_PAGE, MM_PAGE, "empty page");
	}
	for (size_t i = 0; i < PAGES; i++)
		mm_fill(p + i * MM_PAGE, MM_PAGE, i + PAGES);
	for (size_t i = 0; i < PAGES; i++)
		mm_expect(p + i * MM_PAGE, MM_PAGE, i + PAGES, "page written afterwards");
	return 0;
}
