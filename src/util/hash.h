/*
 * hash.h - XXH3 of contents, by the widest instructions that the CPU has.
 *
 * On x86-64 the library's plain functions use SSE2, which every such CPU has. Where it was built with
 * its dispatcher, that one looks at the CPU: twice as fast with AVX2, and the same result.
 */
#ifndef CKPT_UTIL_HASH_H
#define CKPT_UTIL_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

/* Of xxh_x86dispatch.h; not in every build of the library, so it may be absent (NULL). */
extern XXH64_hash_t XXH3_64bits_dispatch(const void *data, size_t len) __attribute__((weak));

/** hash64() - XXH3_64bits() of @len bytes */
static inline uint64_t hash64(const void *data, size_t len)
{
	return XXH3_64bits_dispatch ? XXH3_64bits_dispatch(data, len) : XXH3_64bits(data, len);
}

#endif
