/*
 * Holds: mappings at the lowest and at the highest address that the kernel gives, and at addresses
 * where a program that restores would like to be: right below the stack, right above the executable.
 * Shows: Memory: a restore takes no address for itself that the program uses.
 */
#include "mm.h"

#define TOP  0x7ffffffff000ul /* TASK_SIZE with four levels of page tables */
#define LEN  (4 * MM_PAGE)
#define HERE 6

int main(int argc, char **argv)
{
	struct mm_vma self = mm_vma((void *)(uintptr_t)main), stack = mm_vma(&argc);
	unsigned long want[HERE] = {0x10000, 0x400000, 0x100000000, self.start - 64 * LEN,
		stack.start - (64ul << 20), TOP - LEN};
	char *p[HERE];

	victim_init(argc, argv);
	for (int i = 0; i < HERE; i++) {
		p[i] = mmap((void *)want[i], LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p[i] == MAP_FAILED) {
			victim_say("note: %lx cannot be had: %s", want[i], strerror(errno));
			p[i] = NULL;
			continue;
		}
		mm_fill(p[i], LEN, i);
	}
	CHECK(p[0] && p[HERE - 1], "the test is broken");
	victim_ready();
	victim_wait();
	for (int i = 0; i < HERE; i++)
		if (p[i])
			mm_expect(p[i], LEN, i, "mapping at a chosen address");
	return 0;
}
