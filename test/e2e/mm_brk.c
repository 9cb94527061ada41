/*
 * Holds: a brk heap of malloc blocks and of memory taken by sbrk.
 * Shows: Memory: "heap and brk": the break is where it was, grows on from there, and shrinks.
 */
#include "mm.h"

#define BLOCKS 2000
#define CHUNK  (256 * MM_PAGE)

int main(int argc, char **argv)
{
	char *block[BLOCKS], *chunk, *end, *more;
	struct mm_vma heap;

	victim_init(argc, argv);
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = malloc(64 + i % 512 * 8);
		mm_fill(block[i], 64 + i % 512 * 8, i);
	}
	chunk = sbrk(CHUNK);
	CHECK(chunk != (void *)-1, "sbrk: %s", strerror(errno));
	mm_fill(chunk, CHUNK, BLOCKS);
	end = sbrk(0);
	heap = mm_vma(chunk);
	victim_ready();
	victim_wait();
	CHECK(sbrk(0) == end, "the break: expected %p, got %p", end, sbrk(0));
	mm_expect_same(&heap, "[heap]");
	CHECK(!strcmp(mm_vma(chunk).name, "[heap]"), "name: expected [heap], got '%s'",
		mm_vma(chunk).name);
	mm_expect(chunk, CHUNK, BLOCKS, "sbrk chunk");
	for (int i = 0; i < BLOCKS; i++)
		mm_expect(block[i], 64 + i % 512 * 8, i, "malloc block");

	more = sbrk(CHUNK);
	CHECK(more == end, "sbrk goes on: expected %p, got %p (%s)", end, more, strerror(errno));
	mm_expect_zero(more, CHUNK, "new heap memory");
	mm_fill(more, CHUNK, BLOCKS + 1);
	CHECK(mm_vma(more).start == heap.start,
		"the heap grew into a mapping of its own: %lx, not %lx", mm_vma(more).start,
		heap.start);
	CHECK(sbrk(-(long)(2 * CHUNK)) == more + CHUNK, "sbrk back: %s", strerror(errno));
	CHECK(sbrk(0) == chunk, "the break shrunk: expected %p, got %p", chunk, sbrk(0));
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	return 0;
}
