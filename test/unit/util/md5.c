/*
 * md5.c - digests of RFC 1321 A.5, and of messages that are added in pieces.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "util/md5.h"
#include "util/vec.h"

static const struct {
	const char *message, *digest;
} rfc[] = {
	{"", "d41d8cd98f00b204e9800998ecf8427e"},
	{"a", "0cc175b9c0f1b6a831c399e269772661"},
	{"abc", "900150983cd24fb0d6963f7d28e17f72"},
	{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		"d174ab98d277d9f5a5611c2c9f419d9f"},
	{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		"57edf4a22be3c955ac49da2e2107b67a"},
};

static void expect(const char *message, size_t piece, const char *digest)
{
	uint8_t d[MD5_BYTES];
	char text[2 * MD5_BYTES + 1];
	size_t len = strlen(message);
	struct md5 m;

	md5_init(&m);
	for (size_t at = 0; at < len; at += piece)
		md5_add(&m, message + at, MIN(piece, len - at));
	md5_end(&m, d);
	for (size_t i = 0; i < MD5_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", d[i]);
	cr_expect_str_eq(text, digest, "'%s' by %zu: %s", message, piece, text);
}

Test(md5, rfc1321)
{
	for (size_t i = 0; i < ARRAY_SIZE(rfc); i++)
		for (size_t piece = 1; piece < 90; piece += 11)
			expect(rfc[i].message, piece, rfc[i].digest);
}

/* Of 55 bytes the padding fits into the last block, of 56 it does not (md5sum(1) says what comes out). */
Test(md5, edges_of_a_block)
{
	char a[66];

	memset(a, 'a', sizeof(a));
	a[55] = 0;
	expect(a, 64, "ef1772b6dff9a122358552954ad0df65");
	a[55] = 'a';
	a[56] = 0;
	expect(a, 64, "3b0c8ac703f828b04c6c197006d17218");
	a[56] = 'a';
	a[64] = 0;
	expect(a, 64, "014842d480b571495a4a0363793f7367");
	a[64] = 'a';
	a[65] = 0;
	expect(a, 64, "c743a45e0d2e6a95cb859adae0248435");
}
