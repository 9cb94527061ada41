/*
 * reader.c - an image is opened, and everything about it checked but the pages' contents.
 *
 * The records file is read once into memory rather than mapped: nobody can change it under us
 * after the check, and a file that is truncated meanwhile is an error, not a SIGBUS. No allocation
 * is larger than the file that it is for.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <xxhash.h>

#include "image/frame.h"
#include "image/manifest.h"
#include "proto/core.pb-c.h"
#include "util/cleanup.h"
#include "util/str.h"

struct shard {
	int fd; /* -EBADF where the image has none of this number */
	const Ckpt__ImageFile *file;
};

struct image {
	char *dir;
	int dir_fd;
	Ckpt__Manifest *manifest;
	const Ckpt__ImageFile *records_file;
	uint8_t *records;
	size_t len;
	struct shard shards[IMAGE_SHARDS_MAX];
};

#define ADVICE "the image is damaged: take another copy of it"

/* @name: of the file in it, or NULL for the directory */
static int fail_read(
	struct ckpt_op *op, const struct image *img, int err, const char *call, const char *name)
{
	if (err == EACCES)
		return op_fail(op, CKPT_E_PRIVILEGE, err, call,
			"run as the user who made the image, or as root", "image %s%s%s", img->dir,
			name ? ": " : "", name ? name : "");
	return op_fail_errno(
		op, err, call, "image %s%s%s", img->dir, name ? ": " : "", name ? name : "");
}

/* A damaged image: file, reason. */
static int damaged(struct ckpt_op *op, const struct image *img, const char *name, const char *why)
{
	return op_fail(
		op, CKPT_E_IMAGE, EBADMSG, NULL, ADVICE, "image %s: %s: %s", img->dir, name, why);
}

void image_close(struct image *img)
{
	if (!img)
		return;
	for (unsigned k = 0; k < IMAGE_SHARDS_MAX; k++)
		fd_close(img->shards[k].fd);
	if (img->manifest)
		ckpt__manifest__free_unpacked(img->manifest, NULL);
	free(img->records);
	free(img->dir);
	fd_close(img->dir_fd);
	free(img);
}

static int dir_open(struct ckpt_op *op, struct image *img)
{
	img->dir_fd = open(img->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (img->dir_fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return op_fail(op, CKPT_E_IMAGE, errno, "open",
			errno == ENOENT
				? "`ckpt dump` prints the directory and the crid of what it saves"
				: "an image is a directory, with a manifest in it",
			"image %s", img->dir);
	return fail_read(op, img, errno, "open", NULL);
}

static int manifest_load(struct ckpt_op *op, struct image *img)
{
	const char *why = NULL;
	int r = manifest_read_at(img->dir_fd, IMAGE_MANIFEST, &img->manifest, &why);

	if (r == -ENOENT)
		return op_fail(op, CKPT_E_IMAGE, ENOENT, NULL,
			"a dump that was interrupted leaves no image; name the directory of one that was not",
			"image %s: there is no manifest in it, so it is not an image", img->dir);
	if (r == -ELOOP)
		return damaged(op, img, IMAGE_MANIFEST, "it is a symbolic link");
	if (r < 0)
		return fail_read(op, img, -r, "read", IMAGE_MANIFEST);
	return r ? damaged(op, img, IMAGE_MANIFEST, why) : 0;
}

/* Version, ISA, and what the rest of the program relies on. */
static int manifest_check(struct ckpt_op *op, const struct image *img)
{
	const Ckpt__Manifest *m = img->manifest;
	struct utsname uts;

	if (m->version != IMAGE_VERSION)
		return op_fail(op, CKPT_E_IMAGE, ENOTSUP, NULL,
			"use the version of ckpt that wrote it, or a newer one",
			"image %s: format version %" PRIu32 ", this ckpt reads %d", img->dir,
			m->version, IMAGE_VERSION);
	if (m->base.n_unknown_fields)
		return op_fail(op, CKPT_E_IMAGE, ENOTSUP, NULL, "use a newer version of ckpt",
			"image %s: manifest: field %" PRIu32 " is not known to this ckpt", img->dir,
			m->base.unknown_fields[0].tag);
	for (size_t i = 0; i < m->n_files; i++) {
		if (m->files[i]->base.n_unknown_fields)
			return damaged(op, img, IMAGE_MANIFEST,
				"it says things about a file that are not known to this ckpt");
	}
	if (!m->crid || m->crid > INT64_MAX)
		return damaged(op, img, IMAGE_MANIFEST, "the crid is not valid");
	uname(&uts);
	if (!str_eq(m->isa, uts.machine))
		return op_fail(op, CKPT_E_IMAGE, ENOEXEC, NULL,
			"use it on a machine of the kind that it was taken on",
			"image %s: it was taken on a machine of the kind '%.60s', this is '%s'",
			img->dir, m->isa, uts.machine);
	return 0;
}

/* Open a listed file and check that its size is as listed. Return: fd, or after op_fail(). */
static int file_open(struct ckpt_op *op, const struct image *img, const Ckpt__ImageFile *f)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = openat(img->dir_fd, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return damaged(op, img, f->name, "the file is missing");
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_read(op, img, errno, "open", f->name);
	if (!S_ISREG(st.st_mode))
		return damaged(op, img, f->name, "it is not a regular file");
	if ((uint64_t)st.st_size != f->size_bytes)
		return op_fail(op, CKPT_E_IMAGE, EBADMSG, NULL, ADVICE,
			"image %s: %s: it has %" PRIu64 " bytes, the manifest says %" PRIu64,
			img->dir, f->name, (uint64_t)st.st_size, f->size_bytes);
	return TAKE_FD(fd);
}

static int files_open(struct ckpt_op *op, struct image *img)
{
	for (size_t i = 0; i < img->manifest->n_files; i++) {
		const Ckpt__ImageFile *f = img->manifest->files[i];
		int kind = manifest_file_kind(f->name), fd;

		if (kind == -EINVAL)
			return damaged(op, img, IMAGE_MANIFEST,
				"it lists a file whose name is not one of an image");
		if (kind == MANIFEST_RECORDS ? !!img->records_file : !!img->shards[kind].file)
			return damaged(op, img, f->name, "it is listed twice");
		if (kind == MANIFEST_RECORDS) {
			img->records_file = f;
			continue;
		}
		fd = file_open(op, img, f);
		if (fd < 0)
			return fd;
		img->shards[kind] = (struct shard){.fd = fd, .file = f};
	}
	if (!img->records_file)
		return damaged(op, img, IMAGE_MANIFEST, "it lists no records");
	return 0;
}

static int records_read(struct ckpt_op *op, struct image *img)
{
	const Ckpt__ImageFile *f = img->records_file;
	_cleanup_close_ int fd = file_open(op, img, f);
	int r;

	if (fd < 0)
		return fd;
	img->len = f->size_bytes;
	img->records = malloc(img->len + 1);
	if (!img->records)
		return op_fail_errno(op, ENOMEM, NULL, "image %s: %s", img->dir, f->name);
	r = read_full(fd, img->records, img->len);
	if (r == -ENODATA)
		return damaged(op, img, f->name, "it was truncated meanwhile");
	if (r < 0)
		return op_fail_errno(op, -r, "read", "image %s: %s", img->dir, f->name);
	return 0;
}

/* Every frame first, because it can name the record; then the file, which covers their order. */
static int records_check(struct ckpt_op *op, const struct image *img)
{
	const Ckpt__ImageFile *f = img->records_file;
	size_t pos = 0, size, n = 0;
	struct image_rec rec;

	for (; pos < img->len; pos += size, n++) {
		const char *why = frame_get(img->records + pos, img->len - pos, &rec, &size);

		if (why)
			return op_fail(op, CKPT_E_IMAGE, EBADMSG, NULL, ADVICE,
				"image %s: %s: record %zu at byte %zu: %s", img->dir, f->name, n,
				pos, why);
	}
	if (XXH3_64bits(img->records, img->len) != f->xxh3)
		return damaged(op, img, f->name,
			"records are missing or not those of the manifest: its checksum differs");
	return 0;
}

int image_open(struct ckpt_op *op, const char *dir, struct image **ret)
{
	struct image *img = calloc(1, sizeof(*img));
	int r;

	if (!img)
		return op_fail_errno(op, ENOMEM, NULL, "image %s", dir);
	img->dir_fd = -EBADF;
	for (unsigned k = 0; k < IMAGE_SHARDS_MAX; k++)
		img->shards[k].fd = -EBADF;
	img->dir = strdup(dir);
	r = img->dir ? dir_open(op, img) : op_fail_errno(op, ENOMEM, NULL, "image %s", dir);
	if (r == 0)
		r = manifest_load(op, img);
	if (r == 0)
		r = manifest_check(op, img);
	if (r == 0)
		r = files_open(op, img);
	if (r == 0)
		r = records_read(op, img);
	if (r == 0)
		r = records_check(op, img);
	if (r < 0)
		image_close(img);
	else
		*ret = img;
	return r;
}

const Ckpt__Manifest *image_manifest(const struct image *img)
{
	return img->manifest;
}

const char *image_dir(const struct image *img)
{
	return img->dir;
}

const char *image_records_name(const struct image *img)
{
	return img->records_file->name;
}

int image_page_fd(const struct image *img, unsigned k)
{
	return k < IMAGE_SHARDS_MAX ? img->shards[k].fd : -EBADF;
}

uint64_t image_page_size(const struct image *img, unsigned k)
{
	return image_page_name(img, k) ? img->shards[k].file->size_bytes : 0;
}

const char *image_page_name(const struct image *img, unsigned k)
{
	return k < IMAGE_SHARDS_MAX && img->shards[k].file ? img->shards[k].file->name : NULL;
}

int image_next(const struct image *img, size_t *pos, struct image_rec *ret)
{
	size_t size;

	if (*pos >= img->len)
		return 0;
	frame_peek(img->records + *pos, ret, &size);
	*pos += size;
	return 1;
}
