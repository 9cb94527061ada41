/*
 * Growable arrays and the small arithmetic that goes with them.
 *
 * An array is three variables of the caller (pointer, count, capacity); vec_reserve() grows the
 * first and the last. Growth is geometric, so appending is linear in total.
 */
#ifndef CKPT_UTIL_VEC_H
#define CKPT_UTIL_VEC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Macros because they work on any arithmetic type; each argument is evaluated once. */
#ifndef MIN
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#endif
#ifndef MAX
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})
#endif

/* @to is a power of two. */
#define ALIGN_DOWN(x, to) ((x) & ~((__typeof__(x))(to)-1))
#define ALIGN_UP(x, to)   ALIGN_DOWN((x) + ((__typeof__(x))(to)-1), to)

/**
 * vec_reserve() - make room for @want elements
 * @pptr:  address of the array's pointer (any object pointer; NULL array with *@cap 0 at first)
 * @cap:   capacity in elements, updated with the pointer
 * @want:  elements that must fit; nothing happens where they do already
 * @elem:  size of one element in bytes
 * New elements are not initialised. On failure the array is as it was.
 * Return: 0; -ENOMEM no memory, or the size overflows.
 */
static inline int vec_reserve(void *pptr, size_t *cap, size_t want, size_t elem)
{
	size_t bytes, n = *cap;
	void *old, *p;

	if (want <= n)
		return 0;
	n = n > SIZE_MAX / 2 ? want : n * 2;
	if (n < want)
		n = want;
	if (n < 8)
		n = 8;
	if (__builtin_mul_overflow(n, elem, &bytes) &&
		__builtin_mul_overflow(n = want, elem, &bytes))
		return -ENOMEM;
	/* By memcpy: the caller's pointer has its own type, not void *. */
	memcpy(&old, pptr, sizeof(old));
	p = realloc(old, bytes);
	if (!p)
		return -ENOMEM;
	memcpy(pptr, &p, sizeof(p));
	*cap = n;
	return 0;
}

#endif
