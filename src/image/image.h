/*
 * image.h - an image on disk: a directory with a small, constant number of files.
 *
 *   manifest   written last: its presence makes the image
 *   records    framed records {length, type tag, owner, checksum, protobuf payload}
 *   pages-K    page contents, one file per page worker
 *
 * A writer works in a temporary directory beside its goal (or, where the goal was there, in files
 * with temporary names inside it) and commits by one rename. Images are untrusted input: whatever
 * is read is checked before use.
 */
#ifndef CKPT_IMAGE_IMAGE_H
#define CKPT_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/op.h"

#define IMAGE_SHARDS_MAX 64

/* ---- writing ---- */

struct image_writer;

struct image_writer_req {
	const char *dir; /* where the image shall be */
	bool force;      /* replace an image that is there */
	unsigned shards; /* page files, 1..IMAGE_SHARDS_MAX */
};

/**
 * image_writer_open() - prepare a new image; nothing is visible at dir before image_commit()
 * @ret: freed by image_writer_abort() or image_commit()
 * Return: 0; negative after op_fail(): dir exists and holds an image (CKPT_E_CONFLICT), no space, ...
 */
int image_writer_open(struct ckpt_op *op, const struct image_writer_req *req,
	struct image_writer **ret);

/** image_shard_fd() - Return: fd of page file k, borrowed; its worker writes from offset 0 on */
int image_shard_fd(struct image_writer *w, unsigned k);

/** image_add() - append one record; payload is copied into the stream's buffer. Return: 0 or after op_fail() */
int image_add(struct ckpt_op *op, struct image_writer *w, const char *tag, uint64_t owner,
	const void *payload, size_t len);

/**
 * image_commit() - write the manifest, sync if asked, rename into place
 * @manifest_payload: packed Manifest message without its file list; the file list (name, size,
 *                    checksum of records) is added by the writer
 * @sync:   fsync files and directory before the rename
 * @ret_bytes: size of all files
 * Return: 0, w freed; negative after op_fail(), w freed and nothing left at dir
 */
struct _Ckpt__Manifest;
int image_commit(struct ckpt_op *op, struct image_writer *w, struct _Ckpt__Manifest *manifest,
	bool sync, uint64_t *ret_bytes);

/** image_writer_abort() - remove everything that was written; NULL is fine */
void image_writer_abort(struct image_writer *w);

/* ---- reading ---- */

struct image;

/**
 * image_open() - open an image and check its manifest, file sizes and the records' checksums
 * (not the pages': these are checked as they are read, or by image_verify_pages())
 * Return: 0; negative after op_fail(CKPT_E_IMAGE) naming file, record and reason
 */
int image_open(struct ckpt_op *op, const char *dir, struct image **ret);
void image_close(struct image *img);
const struct _Ckpt__Manifest *image_manifest(const struct image *img);

/** image_page_fd() - Return: read-only fd of page file k, borrowed; -EBADF if there is none */
int image_page_fd(const struct image *img, unsigned k);
uint64_t image_page_size(const struct image *img, unsigned k);

struct image_rec {
	const char *tag; /* NUL-terminated, valid while the image is open */
	uint64_t owner;
	const void *payload;
	size_t len;
};

/** image_next() - Return: 1 and *ret, 0 at the end; start with *pos = 0 (all was checked by image_open) */
int image_next(const struct image *img, size_t *pos, struct image_rec *ret);

/** image_find() - the directory for a crid in the store; caller frees. Return: 0 or after op_fail() */
int image_store_dir(struct ckpt_op *op, uint64_t crid, char **ret);

/** image_crid_new() - a new checkpoint id: 63 bits, positive, growing with time, unique */
uint64_t image_crid_new(void);

#endif
