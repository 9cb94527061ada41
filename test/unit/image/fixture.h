/*
 * fixture.h - a scratch directory, an operation that remembers its log, and a small image.
 */
#ifndef CKPT_TEST_IMAGE_FIXTURE_H
#define CKPT_TEST_IMAGE_FIXTURE_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/op.h"
#include "image/image.h"
#include "proto/core.pb-c.h"
#include "util/cleanup.h"

struct scratch {
	char dir[64]; /* removed by fixture_done() */
};

static inline void scratch_init(struct scratch *s)
{
	snprintf(s->dir, sizeof(s->dir), "/tmp/ckpt-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(s->dir));
}

static inline void remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(fd, e->d_name);
	}
	if (d)
		closedir(d);
	unlinkat(at, name, d ? AT_REMOVEDIR : 0);
}

/* A path inside the scratch directory, valid for the next seven calls. */
static inline const char *in(struct scratch *s, const char *name)
{
	static char paths[8][256];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", s->dir, name);
	return path;
}

/* How many entries a directory has, hidden ones included; -1 where there is no directory. */
static inline int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static inline void file_put(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write_full(fd, data, len), 0);
	close(fd);
}

static inline char *file_get(const char *path, size_t *ret_len)
{
	char *s = NULL;

	cr_assert_eq(file_read_at(AT_FDCWD, path, &s, ret_len), 0, "%s", path);
	return s;
}

/* The error's text contains @part. */
static inline void failed_with(struct ckpt_op *op, enum ckpt_kind kind, const char *part)
{
	char *text = ckpt_error_text(&op->first);

	cr_assert(op->failed);
	cr_assert_eq(op->first.kind, kind, "kind %d: %s", op->first.kind, text);
	cr_assert_not_null(strstr(text, part), "no \"%s\" in: %s", part, text);
	free(text);
}

#define TEST_CRID 1700000000000000001

/* @host: keeps what the manifest points at */
static inline void manifest_fill(Ckpt__Manifest *m, uint64_t crid, struct utsname *host)
{
	uname(host);
	ckpt__manifest__init(m);
	m->crid = crid;
	m->isa = host->machine;
	m->root_pid = 77;
}

static inline int commit_as(struct ckpt_op *op, struct image_writer *w, uint64_t crid)
{
	struct utsname host;
	Ckpt__Manifest m;

	manifest_fill(&m, crid, &host);
	return image_commit(op, w, &m, false, NULL);
}

/* Two records, and 8192 bytes of 'A' in page file 1 of 2; page file 0 stays empty. */
static inline void small_image_fill(struct ckpt_op *op, struct image_writer *w)
{
	char pages[8192];

	memset(pages, 'A', sizeof(pages));
	cr_assert_eq(image_add(op, w, "one", 12, "payload", 7), 0);
	cr_assert_eq(image_add(op, w, "empty-1", UINT64_MAX, NULL, 0), 0);
	cr_assert_eq(write_full(image_shard_fd(w, 1), pages, sizeof(pages)), 0);
}

static inline struct image_writer *writer_open(struct ckpt_op *op, const char *dir, bool force)
{
	struct image_writer_req req = {.dir = dir, .force = force, .shards = 2};
	struct image_writer *w = NULL;

	cr_assert_eq(image_writer_open(op, &req, &w), 0, "%s", op->first.object);
	return w;
}

static inline void small_image(const char *dir, uint64_t crid, bool force)
{
	struct image_writer *w;
	struct ckpt_op op;

	op_init(&op, NULL);
	w = writer_open(&op, dir, force);
	small_image_fill(&op, w);
	cr_assert_eq(commit_as(&op, w, crid), 0, "%s", op.first.object);
	op_done(&op, NULL);
}

/* What every test here works with: a directory of its own, and an operation. */
static struct scratch s;
static struct ckpt_op op;

static inline void fixture_init(void)
{
	scratch_init(&s);
	op_init(&op, NULL);
}

static inline void fixture_done(void)
{
	op_done(&op, NULL);
	remove_tree(AT_FDCWD, s.dir);
}

#endif
