/*
 * Holds: a MAP_DROPPABLE mapping with contents (Linux 6.11; the state of the libc's random numbers is
 * kept in such memory).
 * Shows: Memory: it comes back droppable, and empty after a restore: nobody may go on with a random
 * state that another run of the same image has too.
 */
#include "mm.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define LEN (4 * MM_PAGE)

int main(int argc, char **argv)
{
	char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	struct mm_vma was;

	victim_init(argc, argv);
	if (p == MAP_FAILED)
		SKIP("this kernel has no droppable memory (MAP_DROPPABLE: %s)", strerror(errno));
	mm_fill(p, LEN, 1);
	was = mm_vma(p);
	CHECK(mm_flag(&was, "dp"), "no 'dp' in VmFlags '%s'", was.flags);
	victim_ready();
	victim_wait();
	mm_expect_same(&was, "droppable mapping");
	if (victim_dead_s() > 0)
		mm_expect_zero(p, LEN, "droppable memory after a restore");
	mm_fill(p, LEN, 2);
	mm_expect(p, LEN, 2, "written afterwards");
	return 0;
}
