/*
 * md5.h - the MD5 digest, for a protocol that is made of it (RFC 2385); nothing is made safe by it.
 */
#ifndef CKPT_UTIL_MD5_H
#define CKPT_UTIL_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_BYTES 16

struct md5 {
	uint32_t state[4];
	uint64_t bytes;
	uint8_t block[64]; /* what does not fill one yet */
};

void md5_init(struct md5 *m);

/** md5_add() - the next bytes of the message; async-signal-safe */
void md5_add(struct md5 *m, const void *data, size_t len);

/** md5_end() - the message is whole; m is used up. Source: RFC 1321 */
void md5_end(struct md5 *m, uint8_t ret[MD5_BYTES]);

#endif
