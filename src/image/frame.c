/*
 * frame.c - one record on disk: see frame.h.
 */
#include "image/frame.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "util/vec.h"

/* The header as it lies on disk, every field little endian. */
struct header {
	uint32_t payload_len;
	uint16_t tag_len;
	uint16_t zero;
	uint64_t owner;
	uint64_t xxh3;
};

_Static_assert(sizeof(struct header) == FRAME_HEADER, "the header has no padding");

static uint64_t checksum(const uint8_t *buf, size_t body_len)
{
	uint64_t seed = XXH3_64bits(buf, offsetof(struct header, xxh3));

	return XXH3_64bits_withSeed(buf + FRAME_HEADER, body_len, seed);
}

static bool tag_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

size_t frame_tag_ok(const char *tag)
{
	size_t n = 0;

	while (tag[n]) {
		if (n == FRAME_TAG_MAX || !tag_char(tag[n]))
			return 0;
		n++;
	}
	return n;
}

size_t frame_size(size_t tag_len, size_t payload_len)
{
	return ALIGN_UP(FRAME_HEADER + tag_len + 1 + payload_len, 8);
}

void frame_put(uint8_t *buf, const struct image_rec *rec)
{
	size_t tag_len = strlen(rec->tag) + 1, end = FRAME_HEADER + tag_len + rec->len;
	struct header h = {
		.payload_len = htole32((uint32_t)rec->len),
		.tag_len = htole16((uint16_t)tag_len),
		.owner = htole64(rec->owner),
	};

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + FRAME_HEADER, rec->tag, tag_len);
	if (rec->len)
		memcpy(buf + FRAME_HEADER + tag_len, rec->payload, rec->len);
	memset(buf + end, 0, ALIGN_UP(end, 8) - end);
	h.xxh3 = htole64(checksum(buf, tag_len + rec->len));
	memcpy(buf, &h, sizeof(h));
}

void frame_peek(const uint8_t *buf, struct image_rec *ret, size_t *ret_size)
{
	struct header h;
	size_t tag_len, len;

	memcpy(&h, buf, sizeof(h));
	tag_len = le16toh(h.tag_len);
	len = le32toh(h.payload_len);
	*ret = (struct image_rec){
		.tag = (const char *)buf + FRAME_HEADER,
		.owner = le64toh(h.owner),
		.payload = buf + FRAME_HEADER + tag_len,
		.len = len,
	};
	*ret_size = frame_size(tag_len - 1, len);
}

const char *frame_get(const uint8_t *buf, size_t avail, struct image_rec *ret, size_t *ret_size)
{
	size_t tag_len, len, size, end;
	struct header h;

	if (avail < FRAME_HEADER)
		return "it ends within a header";
	memcpy(&h, buf, sizeof(h));
	tag_len = le16toh(h.tag_len);
	len = le32toh(h.payload_len);
	if (tag_len < 2 || tag_len > FRAME_TAG_MAX + 1 || len > FRAME_PAYLOAD_MAX || h.zero)
		return "the header is damaged";
	size = frame_size(tag_len - 1, len);
	if (size > avail)
		return "it is longer than the file";
	end = FRAME_HEADER + tag_len + len;
	if (le64toh(h.xxh3) != checksum(buf, tag_len + len))
		return "the checksum is wrong";
	for (size_t i = end; i < size; i++) {
		if (buf[i])
			return "the padding is not zero";
	}
	/* These two can only fail in an image that was made with intent. */
	if (buf[FRAME_HEADER + tag_len - 1])
		return "the tag is not terminated";
	if (frame_tag_ok((const char *)buf + FRAME_HEADER) != tag_len - 1)
		return "the tag is not a name";
	frame_peek(buf, ret, ret_size);
	return NULL;
}
