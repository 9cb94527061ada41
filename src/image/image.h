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
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/op.h"

#define IMAGE_SHARDS_MAX 64

#define IMAGE_VERSION    1
#define IMAGE_MANIFEST   "manifest"
#define IMAGE_PAGE_BYTES 4096

/* ---- writing ---- */

struct image_writer;

struct image_writer_req {
	const char *dir; /* where the image shall be; missing parents are made, mode 0700 */
	bool force;      /* replace an image that is there */
	unsigned shards; /* page files, 1..IMAGE_SHARDS_MAX */
};

/**
 * image_writer_open() - prepare a new image; nothing is visible at dir before image_commit()
 * @ret: freed by image_writer_abort() or image_commit(); untouched on failure
 * Return: 0; negative after op_fail(): dir holds an image or another ckpt writes one
 *         (CKPT_E_CONFLICT), no space, ...
 */
int image_writer_open(
	struct ckpt_op *op, const struct image_writer_req *req, struct image_writer **ret);

/**
 * image_shard_fd() - the descriptor of page file k
 * Its worker writes from offset 0 on. A page file that stays empty is not part of the image.
 * Return: fd, borrowed; -EBADF when k is not below the requested number.
 */
int image_shard_fd(const struct image_writer *w, unsigned k);

/**
 * image_add() - append one record
 * One thread at a time. Records are collected in memory and written in pieces of some MiB, those
 * of a small process with one write(2) in image_commit().
 * @tag:      the resource's name, at most 255 bytes of [a-z0-9_.-]
 * @payload:  copied; @len bytes, below 2 GiB
 * Return: 0; negative after op_fail().
 */
int image_add(struct ckpt_op *op, struct image_writer *w, const char *tag, uint64_t owner,
	const void *payload, size_t len);

/**
 * image_commit() - write the manifest, sync if asked, rename into place
 * @manifest:  all but version and files, which the writer knows; its crid must be set. Unchanged
 * @sync:      fsync files and directories before and after the rename
 * @ret_bytes: size of all files, may be NULL
 * Return: 0, w freed; negative after op_fail(), w freed and nothing new left at dir.
 */
struct Ckpt__Manifest;
int image_commit(struct ckpt_op *op, struct image_writer *w, const struct Ckpt__Manifest *manifest,
	bool sync, uint64_t *ret_bytes);

/** image_writer_abort() - remove everything that was made, directories included; NULL is fine */
void image_writer_abort(struct image_writer *w);

/* ---- reading ---- */

struct image;

/**
 * image_open() - open an image and check its manifest, ISA, file sizes, and every record's bounds
 * and checksum (not the pages': these are checked as they are read, or by image_verify())
 * @ret: freed by image_close(); untouched on failure
 * Return: 0; negative after op_fail(CKPT_E_IMAGE) naming file, record and reason.
 */
int image_open(struct ckpt_op *op, const char *dir, struct image **ret);
void image_close(struct image *img);
const struct Ckpt__Manifest *image_manifest(const struct image *img);

/** image_dir() - Return: the directory as it was given to image_open(), for messages */
const char *image_dir(const struct image *img);

/** image_records_name() - Return: name of the records file, for messages */
const char *image_records_name(const struct image *img);

/** image_page_fd() - Return: read-only fd of page file k, borrowed; -EBADF if there is none */
int image_page_fd(const struct image *img, unsigned k);

/** image_page_size() - Return: size of page file k in bytes, 0 if there is none */
uint64_t image_page_size(const struct image *img, unsigned k);

/** image_page_name() - Return: name of page file k, for messages; NULL if there is none */
const char *image_page_name(const struct image *img, unsigned k);

struct image_rec {
	const char *tag; /* NUL-terminated, valid while the image is open */
	uint64_t owner;
	const void *payload; /* no alignment */
	size_t len;
};

/**
 * image_next() - iterate over the records, in the order of image_add()
 * @pos: 0 at the start
 * Return: 1 and *ret; 0 at the end (all was checked by image_open()).
 */
int image_next(const struct image *img, size_t *pos, struct image_rec *ret);

/* ---- the store ---- */

/**
 * image_store_dir() - the directory for a crid in the store
 * /var/lib/ckpt/<crid> for root, $XDG_STATE_HOME/ckpt/<crid> or ~/.local/state/ckpt/<crid> for a
 * user; it needs not exist.
 * @ret: caller frees
 * Return: 0; negative after op_fail().
 */
int image_store_dir(struct ckpt_op *op, uint64_t crid, char **ret);

/** image_store_path() - the directory of the store itself. Return: caller frees; NULL after op_fail() */
char *image_store_path(struct ckpt_op *op);

/* An image of the store. */
struct store_entry {
	uint64_t crid, parent; /* parent 0: none */
	uint64_t created_ns;   /* CLOCK_REALTIME */
	uint64_t bytes;        /* of its files */
	pid_t pid;             /* of the root */
	uint32_t tasks, threads;
	char *program; /* name of the root, owned; NULL: not known */
	bool whole;    /* else its manifest can't be read */
};

/**
 * image_store_list() - what is in the store, ascending by crid
 * @ret: freed with store_entries_done()
 * Return: 0, also where there is no store; negative after op_fail().
 */
int image_store_list(struct ckpt_op *op, struct store_entry **ret, size_t *ret_n);
void store_entries_done(struct store_entry *v, size_t n);

/** image_store_remove() - take one out. Return: 0; negative after op_fail() */
int image_store_remove(struct ckpt_op *op, uint64_t crid);

/** image_crid_new() - a new checkpoint id: 63 bits, positive, growing with time, unique */
uint64_t image_crid_new(void);

#endif
