/*
 * manifest.c - the manifest file: see manifest.h.
 */
#include "image/manifest.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "image/image.h"
#include "proto/core.pb-c.h"
#include "util/cleanup.h"
#include "util/str.h"

static const char magic[8] = {'C', 'K', 'P', 'T', 'I', 'M', 'G', '1'};

/* As it lies on disk, every field little endian. */
struct header {
	char magic[8];
	uint32_t len;
	uint32_t zero;
	uint64_t xxh3;
};

_Static_assert(sizeof(struct header) == 24, "the header has no padding");

int manifest_pack(const Ckpt__Manifest *m, uint8_t **ret, size_t *ret_len)
{
	size_t len = ckpt__manifest__get_packed_size(m);
	struct header h = {.len = htole32((uint32_t)len)};
	uint8_t *buf;

	if (len > MANIFEST_FILE_MAX - sizeof(h))
		return -EMSGSIZE;
	buf = malloc(sizeof(h) + len);
	if (!buf)
		return -ENOMEM;
	ckpt__manifest__pack(m, buf + sizeof(h));
	memcpy(h.magic, magic, sizeof(magic));
	h.xxh3 = htole64(XXH3_64bits_withSeed(buf + sizeof(h), len, len));
	memcpy(buf, &h, sizeof(h));
	*ret = buf;
	*ret_len = sizeof(h) + len;
	return 0;
}

const char *manifest_unpack(const uint8_t *buf, size_t len, Ckpt__Manifest **ret)
{
	Ckpt__Manifest *m;
	struct header h;

	if (len < sizeof(h))
		return "it is too short";
	memcpy(&h, buf, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0)
		return "it is not a manifest of ckpt";
	if (h.zero || le32toh(h.len) != len - sizeof(h))
		return "its length is wrong";
	len -= sizeof(h);
	if (le64toh(h.xxh3) != XXH3_64bits_withSeed(buf + sizeof(h), len, len))
		return "its checksum is wrong";
	m = ckpt__manifest__unpack(NULL, len, buf + sizeof(h));
	if (!m)
		return "its fields are damaged";
	*ret = m;
	return NULL;
}

int manifest_read_at(int dir_fd, const char *name, Ckpt__Manifest **ret, const char **ret_why)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ uint8_t *buf = NULL;
	struct stat st;
	int r;

	/* O_NONBLOCK: a fifo that somebody put there must not hang us. */
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > MANIFEST_FILE_MAX) {
		*ret_why = "it is not a manifest of ckpt";
		return 1;
	}
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	r = read_full(fd, buf, (size_t)st.st_size);
	if (r < 0 && r != -ENODATA)
		return r;
	*ret_why = r < 0 ? "it changed meanwhile" : manifest_unpack(buf, (size_t)st.st_size, ret);
	return *ret_why ? 1 : 0;
}

/* Nothing, or "-" and up to 20 digits: what tells apart the files of two images in one directory. */
static bool suffix_ok(const char *s)
{
	size_t n;

	if (!*s)
		return true;
	n = strspn(s + 1, "0123456789");
	return *s == '-' && n > 0 && n <= 20 && !s[n + 1];
}

int manifest_file_kind(const char *name)
{
	const char *rest;
	uint32_t k;

	if (!name)
		return -EINVAL;
	rest = str_startswith(name, "records");
	if (rest)
		return suffix_ok(rest) ? MANIFEST_RECORDS : -EINVAL;
	rest = str_startswith(name, "pages-");
	/* One spelling per number: no leading zeros. */
	if (!rest || (rest[0] == '0' && rest[1] && rest[1] != '-'))
		return -EINVAL;
	if (str_u32(&rest, 10, &k) < 0 || k >= IMAGE_SHARDS_MAX || !suffix_ok(rest))
		return -EINVAL;
	return (int)k;
}
