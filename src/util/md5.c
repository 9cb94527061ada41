/*
 * md5.c - see md5.h. Written from RFC 1321, whose names of functions and constants it has.
 */
#include "util/md5.h"

#include <endian.h>
#include <string.h>

#include "util/vec.h"

#define BLOCK 64

/* T[i] of the standard: the whole part of 2^32 times abs(sin(i)), i from 1 in radians */
static const uint32_t sines[64] = {0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf,
	0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51,
	0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6,
	0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
	0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8,
	0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
	0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82,
	0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

/* By how much each round turns, in steps of four. */
static const uint8_t turns[4][4] = {
	{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t turn(uint32_t x, unsigned int n)
{
	return x << n | x >> (32 - n);
}

/* F, G, H and I of the standard, and which word of the block a step takes. */
static uint32_t mix(unsigned int i, uint32_t b, uint32_t c, uint32_t d, unsigned int *ret_word)
{
	switch (i / 16) {
	case 0:
		*ret_word = i;
		return (b & c) | (~b & d);
	case 1:
		*ret_word = (5 * i + 1) % 16;
		return (b & d) | (c & ~d);
	case 2:
		*ret_word = (3 * i + 5) % 16;
		return b ^ c ^ d;
	default:
		*ret_word = 7 * i % 16;
		return c ^ (b | ~d);
	}
}

static void add_block(struct md5 *m, const uint8_t *p)
{
	uint32_t x[16], v[4];

	memcpy(x, p, sizeof(x));
	memcpy(v, m->state, sizeof(v));
	for (unsigned int i = 0; i < 64; i++) {
		unsigned int word = 0;
		uint32_t f = mix(i, v[1], v[2], v[3], &word);
		uint32_t next =
			v[1] + turn(v[0] + f + le32toh(x[word]) + sines[i], turns[i / 16][i % 4]);

		v[0] = v[3];
		v[3] = v[2];
		v[2] = v[1];
		v[1] = next;
	}
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		m->state[i] += v[i];
}

void md5_init(struct md5 *m)
{
	*m = (struct md5){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

void md5_add(struct md5 *m, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t at = m->bytes % BLOCK, n = MIN(len, BLOCK - at);

		memcpy(m->block + at, p, n);
		m->bytes += n;
		p += n;
		len -= n;
		if (at + n == BLOCK)
			add_block(m, m->block);
	}
}

void md5_end(struct md5 *m, uint8_t ret[MD5_BYTES])
{
	static const uint8_t padding[BLOCK] = {0x80};
	uint64_t bits = htole64(m->bytes * 8);
	size_t at = m->bytes % BLOCK;

	md5_add(m, padding, at < 56 ? 56 - at : 120 - at);
	md5_add(m, &bits, sizeof(bits));
	for (size_t i = 0; i < ARRAY_SIZE(m->state); i++) {
		uint32_t word = htole32(m->state[i]);

		memcpy(ret + 4 * i, &word, sizeof(word));
	}
}
