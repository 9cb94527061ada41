/*
 * frame.h - one record on disk.
 *
 *	u32 payload_len, u16 tag_len, u16 zero, u64 owner, u64 xxh3     little endian, 24 bytes
 *	tag with its NUL (tag_len counts it), payload, zeros up to a multiple of 8
 *
 * The checksum is XXH3-64 of tag and payload, seeded with XXH3-64 of the 16 bytes before it: so it
 * covers all fields in one pass over contiguous bytes. Every byte has one permitted value: a
 * damaged one is always found.
 */
#ifndef CKPT_IMAGE_FRAME_H
#define CKPT_IMAGE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

#define FRAME_HEADER      24
#define FRAME_TAG_MAX     255
#define FRAME_PAYLOAD_MAX 0x7fffffff

/** frame_tag_ok() - whether a tag may be written. Return: its length without NUL, 0 if not */
size_t frame_tag_ok(const char *tag);

/** frame_size() - Return: bytes of a whole frame; @tag_len without NUL, both within their limits */
size_t frame_size(size_t tag_len, size_t payload_len);

/** frame_put() - write a frame of frame_size() bytes to @buf; tag and length were checked */
void frame_put(uint8_t *buf, const struct image_rec *rec);

/**
 * frame_get() - read and check one frame
 * @buf:       @avail bytes, anything may be in there
 * @ret:       points into @buf; untouched on failure
 * @ret_size:  bytes of the whole frame
 * Return: NULL; or the reason why this is no frame, a static string.
 */
const char *frame_get(const uint8_t *buf, size_t avail, struct image_rec *ret, size_t *ret_size);

/** frame_peek() - frame_get() without the checks, on bytes that passed it */
void frame_peek(const uint8_t *buf, struct image_rec *ret, size_t *ret_size);

#endif
