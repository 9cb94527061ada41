/* Work that is dealt out to several threads. */
#include "util/parallel.h"

#include <criterion/criterion.h>

static void mark(void *arg, size_t i)
{
	unsigned char *seen = arg;

	seen[i]++; /* each i is one thread's alone */
}

Test(parallel, each_thing_is_worked_on_once)
{
	static const size_t sizes[] = {0, 1, 7, 8, 9, 127, 128, 1000, 4001};

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		unsigned char seen[4002] = {0};

		parallel_each(sizes[k], mark, seen);
		for (size_t i = 0; i < 4002; i++)
			cr_assert_eq(seen[i], i < sizes[k], "%zu of %zu", i, sizes[k]);
	}
}
