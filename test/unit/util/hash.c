/*
 * hash.c - the wide hash is the plain one's, at every length class and alignment.
 */
#include <criterion/criterion.h>

#include "util/hash.h"

Test(hash, is_xxh3_whatever_the_cpu)
{
	static const size_t lens[] = {
		0, 1, 3, 16, 17, 128, 129, 240, 241, 1024, 4096, 65536, 69632};
	static uint8_t data[69632 + 64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 131 + (i >> 8));
	for (size_t k = 0; k < sizeof(lens) / sizeof(*lens); k++)
		for (size_t at = 0; at < 64; at += 31)
			cr_expect_eq(hash64(data + at, lens[k]), XXH3_64bits(data + at, lens[k]));
	/* of the specification's test program: the hash of nothing, seed 0 */
	cr_expect_eq(hash64(data, 0), 0x2d06800538d394c2ULL);
}
