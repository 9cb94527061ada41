/*
 * writer.c - a new image: its files, and the steps of the commit.
 *
 * The order of a commit is what makes an image complete or absent at every instant:
 *   1. the records' rest is written, empty page files are removed, files are synced and closed;
 *   2. the manifest is written, in a directory that was there under a temporary name;
 *   3. in such a directory the data files get their names, which carry the crid, so that they never
 *      meet those of an image that is being replaced. Whoever finds us dead knows them by the manifest
 *      of 2, and those of the replaced image by a link to its manifest: leftover.h;
 *   4. ONE rename, of the directory or of the manifest: from here on the new image is the image;
 *   5. the files of the replaced image go.
 * Until 4 everything can be undone, after it nothing fails any more.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/fault.h"
#include "image/frame.h"
#include "image/leftover.h"
#include "image/manifest.h"
#include "image/place.h"
#include "proto/core.pb-c.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define BUFFER_BYTES (4 << 20) /* of records, before they are written */
#define NAME_BYTES   64

struct out_file {
	int fd;                  /* -EBADF once it is closed */
	char name[NAME_BYTES];   /* what it is called now; "" where it is not there */
	char listed[NAME_BYTES]; /* what the manifest calls it */
	uint64_t size, xxh3;
};

struct image_writer {
	struct place place;
	uint64_t token;
	bool force;
	Ckpt__Manifest *old; /* of the image to be replaced, or NULL */
	struct out_file records, manifest;
	char old_link[NAME_BYTES]; /* to the manifest of that image while its files go, or "" */
	struct out_file shards[IMAGE_SHARDS_MAX];
	unsigned n_shards;
	uint8_t *buf; /* records that are not written yet */
	size_t len, cap;
	XXH3_state_t *hash; /* of the records that are written */
};

static int out_open(
	struct ckpt_op *op, struct image_writer *w, struct out_file *f, const char *name)
{
	snprintf(f->listed, sizeof(f->listed), "%s", name);
	if (place_is_new(&w->place))
		snprintf(f->name, sizeof(f->name), "%s", name);
	else
		snprintf(f->name, sizeof(f->name), ".ckpt-%" PRIu64 "-%s.tmp", w->token, name);
	f->fd = openat(
		w->place.dir_fd, f->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	f->name[0] = 0;
	return op_fail_errno(op, errno, "open", "image %s: %s", w->place.path, name);
}

static void old_link_remove(struct image_writer *w)
{
	if (w->old_link[0])
		unlinkat(w->place.dir_fd, w->old_link, 0);
	w->old_link[0] = 0;
}

static void out_remove(struct image_writer *w, struct out_file *f)
{
	f->fd = fd_close(f->fd);
	if (f->name[0])
		unlinkat(w->place.dir_fd, f->name, 0);
	f->name[0] = 0;
}

static void writer_free(struct image_writer *w)
{
	if (w->old)
		ckpt__manifest__free_unpacked(w->old, NULL);
	XXH3_freeState(w->hash);
	free(w->buf);
	free(w);
}

void image_writer_abort(struct image_writer *w)
{
	if (!w)
		return;
	old_link_remove(w);
	out_remove(w, &w->manifest);
	out_remove(w, &w->records);
	for (unsigned k = 0; k < w->n_shards; k++)
		out_remove(w, &w->shards[k]);
	place_undo(&w->place);
	writer_free(w);
}

/* Look at the image that is in the directory already. */
static int old_look(struct ckpt_op *op, struct image_writer *w)
{
	const char *why = NULL;
	struct stat st;
	int r;

	if (fstatat(w->place.dir_fd, IMAGE_MANIFEST, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		errno == ENOENT)
		return 0;
	if (!w->force)
		return op_fail(op, CKPT_E_CONFLICT, EEXIST, NULL,
			"replace it with --force, or choose another directory with -D",
			"image %s: there is an image in it", w->place.path);
	r = manifest_read_at(w->place.dir_fd, IMAGE_MANIFEST, &w->old, &why);
	if (r)
		op_warn(op, "image %s: the image to be replaced can't be read (%s): its files stay",
			w->place.path, r > 0 ? why : strerror(-r));
	return 0;
}

static int files_open(struct ckpt_op *op, struct image_writer *w, unsigned shards)
{
	char name[NAME_BYTES];
	int r = out_open(op, w, &w->records, "records");

	for (unsigned k = 0; r == 0 && k < shards; k++) {
		snprintf(name, sizeof(name), "pages-%u", k);
		w->shards[k].fd = -EBADF;
		w->n_shards = k + 1;
		r = out_open(op, w, &w->shards[k], name);
	}
	return r;
}

int image_writer_open(
	struct ckpt_op *op, const struct image_writer_req *req, struct image_writer **ret)
{
	struct image_writer *w;
	int r;

	if (req->shards < 1 || req->shards > IMAGE_SHARDS_MAX)
		return op_fail(op, CKPT_E_USAGE, EINVAL, NULL, NULL, "%u page files", req->shards);
	w = calloc(1, sizeof(*w));
	if (!w)
		return op_fail_errno(op, ENOMEM, NULL, "image %s", req->dir);
	w->records.fd = w->manifest.fd = -EBADF;
	w->force = req->force;
	w->token = image_crid_new();
	w->hash = XXH3_createState();
	if (!w->hash) {
		writer_free(w);
		return op_fail_errno(op, ENOMEM, NULL, "image %s", req->dir);
	}
	XXH3_64bits_reset(w->hash);
	r = place_open(op, req->dir, w->token, &w->place);
	if (r < 0) {
		writer_free(w);
		return r;
	}
	if (!place_is_new(&w->place))
		r = old_look(op, w);
	if (r == 0 && w->place.locked)
		leftover_files_remove(op, w->place.dir_fd, w->place.path);
	if (r == 0)
		r = files_open(op, w, req->shards);
	if (r < 0)
		image_writer_abort(w);
	else
		*ret = w;
	return r;
}

int image_shard_fd(const struct image_writer *w, unsigned k)
{
	return k < w->n_shards ? w->shards[k].fd : -EBADF;
}

static int records_flush(struct ckpt_op *op, struct image_writer *w)
{
	int r = w->len ? write_full(w->records.fd, w->buf, w->len) : 0;

	if (r < 0)
		return op_fail_errno(op, -r, "write", "image %s: records", w->place.path);
	XXH3_64bits_update(w->hash, w->buf, w->len);
	w->records.size += w->len;
	w->len = 0;
	return 0;
}

int image_add(struct ckpt_op *op, struct image_writer *w, const char *tag, uint64_t owner,
	const void *payload, size_t len)
{
	struct image_rec rec = {.tag = tag, .owner = owner, .payload = payload, .len = len};
	size_t tag_len = frame_tag_ok(tag), size;
	int r;

	if (!tag_len || len > FRAME_PAYLOAD_MAX)
		return op_fail(op, CKPT_E_SYSTEM, EMSGSIZE, NULL, NULL,
			"image %s: a record '%s' of %zu bytes", w->place.path, tag, len);
	size = frame_size(tag_len, len);
	if (w->len && w->len + size > BUFFER_BYTES) {
		r = records_flush(op, w);
		if (r < 0)
			return r;
	}
	if (vec_reserve(&w->buf, &w->cap, w->len + size, 1) < 0)
		return op_fail_errno(op, ENOMEM, NULL, "image %s: record '%s'", w->place.path, tag);
	frame_put(w->buf + w->len, &rec);
	w->len += size;
	return 0;
}

/* Sync and close. A network file system may tell only now that it could not store the bytes. */
static int out_finish(struct ckpt_op *op, struct image_writer *w, struct out_file *f, bool sync)
{
	if (sync && fsync(f->fd) < 0)
		return op_fail_errno(op, errno, "fsync", "image %s: %s", w->place.path, f->listed);
	if (close(TAKE_FD(f->fd)) < 0)
		return op_fail_errno(op, errno, "close", "image %s: %s", w->place.path, f->listed);
	return 0;
}

/* What the manifest calls a data file: in a directory that was there, by the crid. */
static void out_list(const struct image_writer *w, struct out_file *f, uint64_t crid)
{
	char name[NAME_BYTES];

	if (place_is_new(&w->place))
		return;
	snprintf(name, sizeof(name), "%.40s-%" PRIu64, f->listed, crid);
	memcpy(f->listed, name, sizeof(name));
}

/* Give a data file that name. */
static int out_name(struct ckpt_op *op, struct image_writer *w, struct out_file *f)
{
	int r;

	if (!f->name[0] || str_eq(f->name, f->listed))
		return 0;
	r = rename_excl(w->place.dir_fd, f->name, w->place.dir_fd, f->listed);
	if (r < 0)
		return op_fail_errno(op, -r, "rename", "image %s: %s", w->place.path, f->listed);
	memcpy(f->name, f->listed, sizeof(f->name));
	return 0;
}

static int data_finish(struct ckpt_op *op, struct image_writer *w, uint64_t crid, bool sync)
{
	struct stat st;
	int r = records_flush(op, w);

	w->records.xxh3 = XXH3_64bits_digest(w->hash);
	if (r == 0)
		r = out_finish(op, w, &w->records, sync);
	out_list(w, &w->records, crid);
	for (unsigned k = 0; r == 0 && k < w->n_shards; k++) {
		struct out_file *f = &w->shards[k];

		if (fstat(f->fd, &st) < 0)
			return op_fail_errno(
				op, errno, "fstat", "image %s: %s", w->place.path, f->listed);
		f->size = (uint64_t)st.st_size;
		if (!f->size) {
			out_remove(w, f);
			continue;
		}
		r = out_finish(op, w, f, sync);
		out_list(w, f, crid);
	}
	return r;
}

static int data_name(struct ckpt_op *op, struct image_writer *w)
{
	int r = out_name(op, w, &w->records);

	for (unsigned k = 0; r == 0 && k < w->n_shards; k++)
		r = out_name(op, w, &w->shards[k]);
	return r;
}

static size_t list_files(struct image_writer *w, Ckpt__ImageFile *files, Ckpt__ImageFile **ptrs)
{
	size_t n = 0;

	for (unsigned k = 0; k <= w->n_shards; k++) {
		struct out_file *f = k ? &w->shards[k - 1] : &w->records;

		if (!f->name[0])
			continue;
		ckpt__image_file__init(&files[n]);
		files[n].name = f->listed;
		files[n].size_bytes = f->size;
		files[n].xxh3 = f->xxh3;
		ptrs[n] = &files[n];
		n++;
	}
	return n;
}

static int manifest_write(
	struct ckpt_op *op, struct image_writer *w, const Ckpt__Manifest *given, bool sync)
{
	Ckpt__ImageFile files[IMAGE_SHARDS_MAX + 1], *ptrs[IMAGE_SHARDS_MAX + 1];
	_cleanup_free_ uint8_t *buf = NULL;
	Ckpt__Manifest m = *given;
	size_t len = 0;
	int r;

	m.version = IMAGE_VERSION;
	m.files = ptrs;
	m.n_files = list_files(w, files, ptrs);
	r = manifest_pack(&m, &buf, &len);
	if (r < 0)
		return op_fail_errno(op, -r, NULL, "image %s: manifest", w->place.path);
	r = out_open(op, w, &w->manifest, IMAGE_MANIFEST);
	if (r < 0)
		return r;
	r = write_full(w->manifest.fd, buf, len);
	if (r < 0)
		return op_fail_errno(op, -r, "write", "image %s: manifest", w->place.path);
	w->manifest.size = len;
	return out_finish(op, w, &w->manifest, sync);
}

/* Until the files of the replaced image are gone, its manifest has a second name. */
static void old_link_make(struct image_writer *w)
{
	if (!w->old)
		return;
	snprintf(w->old_link, sizeof(w->old_link), ".ckpt-%" PRIu64 "-old-" IMAGE_MANIFEST ".tmp",
		w->token);
	if (linkat(w->place.dir_fd, IMAGE_MANIFEST, w->place.dir_fd, w->old_link, 0) < 0)
		w->old_link[0] =
			0; /* a file system without links: only the next cleaner knows less */
}

/* The rename that makes the image. */
static int publish(struct ckpt_op *op, struct image_writer *w, bool sync)
{
	int dir_fd = w->place.dir_fd, r;

	if (sync && fsync(dir_fd) < 0)
		return op_fail_errno(op, errno, "fsync", "image %s", w->place.path);
	r = fault_point(op, "dump.rename");
	if (r < 0)
		return r;
	if (place_is_new(&w->place))
		return place_publish(op, &w->place, sync);
	old_link_make(w);
	if (w->force)
		r = renameat(dir_fd, w->manifest.name, dir_fd, IMAGE_MANIFEST) < 0 ? -errno : 0;
	else
		r = rename_excl(dir_fd, w->manifest.name, dir_fd, IMAGE_MANIFEST);
	if (r == -EEXIST)
		return op_fail(op, CKPT_E_CONFLICT, EEXIST, "rename",
			"choose another directory with -D",
			"image %s: somebody else wrote an image into it meanwhile", w->place.path);
	if (r < 0)
		return op_fail_errno(op, -r, "rename", "image %s: manifest", w->place.path);
	if (sync && fsync(dir_fd) < 0)
		op_warn(op, "image %s: fsync: %s", w->place.path, strerror(errno));
	return 0;
}

static void old_remove(struct image_writer *w)
{
	for (size_t i = 0; w->old && i < w->old->n_files; i++) {
		const char *name = w->old->files[i]->name;
		bool ours = str_eq(name, w->records.name);

		for (unsigned k = 0; k < w->n_shards; k++)
			ours |= str_eq(name, w->shards[k].name);
		if (!ours && manifest_file_kind(name) != -EINVAL)
			unlinkat(w->place.dir_fd, name, 0);
	}
	old_link_remove(w);
}

static int commit(
	struct ckpt_op *op, struct image_writer *w, const Ckpt__Manifest *manifest, bool sync)
{
	int r;

	if (!manifest->crid)
		return op_fail(
			op, CKPT_E_SYSTEM, EINVAL, NULL, NULL, "image %s: no crid", w->place.path);
	r = data_finish(op, w, manifest->crid, sync);
	if (r == 0)
		r = manifest_write(op, w, manifest, sync);
	if (r == 0)
		r = data_name(op, w);
	return r < 0 ? r : publish(op, w, sync);
}

int image_commit(struct ckpt_op *op, struct image_writer *w, const Ckpt__Manifest *manifest,
	bool sync, uint64_t *ret_bytes)
{
	int r = commit(op, w, manifest, sync);
	uint64_t bytes;

	if (r < 0) {
		image_writer_abort(w);
		return r;
	}
	old_remove(w);
	bytes = w->records.size + w->manifest.size;
	for (unsigned k = 0; k < w->n_shards; k++)
		bytes += w->shards[k].size;
	if (ret_bytes)
		*ret_bytes = bytes;
	place_done(&w->place);
	writer_free(w);
	return 0;
}
