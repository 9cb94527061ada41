/*
 * Growth of arrays and the arithmetic macros.
 */
#include "util/vec.h"

#include <criterion/criterion.h>

Test(vec, keeps_elements_over_growth)
{
	uint32_t *v = NULL, i;
	size_t cap = 0;

	for (i = 0; i < 10000; i++) {
		cr_assert_eq(vec_reserve(&v, &cap, i + 1, sizeof(*v)), 0);
		cr_assert_gt(cap, i);
		v[i] = i * i;
	}
	for (i = 0; i < 10000; i++)
		cr_assert_eq(v[i], i * i);
	free(v);
}

Test(vec, overflow_is_enomem_and_changes_nothing)
{
	uint64_t *v = NULL;
	size_t cap = 0;

	cr_assert_eq(vec_reserve(&v, &cap, 4, sizeof(*v)), 0);
	uint64_t *before = v;
	size_t cap_before = cap;

	cr_assert_eq(vec_reserve(&v, &cap, SIZE_MAX / 8 + 1, sizeof(*v)), -ENOMEM);
	cr_assert_eq(vec_reserve(&v, &cap, SIZE_MAX, sizeof(*v)), -ENOMEM);
	cr_assert_eq(v, before);
	cr_assert_eq(cap, cap_before);
	free(v);
}

Test(vec, macros_evaluate_once_and_align)
{
	int n = 3;
	uint64_t big = 0xfffffffffffff001ULL;

	cr_assert_eq(MIN(n++, 10), 3);
	cr_assert_eq(n, 4);
	cr_assert_eq(MAX(n++, 2), 4);
	cr_assert_eq(n, 5);
	cr_assert_eq(ALIGN_DOWN(big, 4096), 0xfffffffffffff000ULL);
	cr_assert_eq(ALIGN_UP((uint64_t)1, 4096), 4096);
	cr_assert_eq(ALIGN_UP((uint64_t)4096, 4096), 4096);
}
