/*
 * manifest.h - the manifest file and the names of the files that it may list.
 *
 *	"CKPTIMG1", u32 length, u32 zero, u64 xxh3 of the payload seeded with the length,
 *	packed Manifest; nothing behind it. Little endian.
 */
#ifndef CKPT_IMAGE_MANIFEST_H
#define CKPT_IMAGE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct Ckpt__Manifest;

#define MANIFEST_FILE_MAX (1 << 20) /* bytes; a real one has a few hundred */
#define MANIFEST_RECORDS  (-1)      /* manifest_file_kind() of the records */

/**
 * manifest_pack() - the contents of a manifest file
 * @ret: caller frees
 * Return: 0; -ENOMEM; -EMSGSIZE more than MANIFEST_FILE_MAX bytes.
 */
int manifest_pack(const struct Ckpt__Manifest *m, uint8_t **ret, size_t *ret_len);

/**
 * manifest_unpack() - read and check the contents of a manifest file
 * @ret: caller frees with ckpt__manifest__free_unpacked(); untouched on failure
 * Return: NULL; or the reason why this is no manifest, a static string.
 */
const char *manifest_unpack(const uint8_t *buf, size_t len, struct Ckpt__Manifest **ret);

/**
 * manifest_read_at() - manifest_unpack() of a file in a directory
 * @name:    IMAGE_MANIFEST, or the temporary name of one
 * @ret_why: the reason, a static string, where 1 is returned
 * Return: 0; 1 it is damaged; -errno of openat(2), fstat(2) or read(2).
 */
int manifest_read_at(
	int dir_fd, const char *name, struct Ckpt__Manifest **ret, const char **ret_why);

/**
 * manifest_file_kind() - what a listed file is, by its name
 * The names are "records" and "pages-K", each possibly followed by "-" and decimal digits. Nothing
 * else is ever opened or removed, whatever an image lists.
 * @name: may be anything, NULL also
 * Return: K >= 0 for page file K; MANIFEST_RECORDS; -EINVAL for a name that no image may list.
 */
int manifest_file_kind(const char *name);

#endif
