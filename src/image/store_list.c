/*
 * store_list.c - what is in the store, and taking something out of it.
 *
 * An image leaves the store by a rename to the name of an unfinished one, so that it is there whole or not
 * at all, whatever happens to the removal: the next dump takes away the rest (leftover.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/image.h"
#include "image/leftover.h"
#include "image/manifest.h"
#include "proto/core.pb-c.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

/* By the place of one that would be in it. */
char *image_store_path(struct ckpt_op *op)
{
	char *path = NULL;

	if (image_store_dir(op, 1, &path) < 0)
		return NULL;
	*strrchr(path, '/') = '\0';
	return path;
}

static void entry_read(int store_fd, const char *name, uint64_t crid, struct store_entry *ret)
{
	_cleanup_close_ int fd = openat(store_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	Ckpt__Manifest *m = NULL;
	const char *why;

	*ret = (struct store_entry){.crid = crid};
	if (fd < 0 || manifest_read_at(fd, IMAGE_MANIFEST, &m, &why) != 0)
		return;
	ret->whole = m->crid == crid;
	ret->parent = m->parent_crid;
	ret->created_ns = m->created_ns;
	ret->pid = m->root_pid;
	ret->tasks = m->tasks;
	ret->threads = m->threads;
	ret->program = strdup(m->program);
	for (size_t i = 0; i < m->n_files; i++)
		ret->bytes += m->files[i]->size_bytes;
	ckpt__manifest__free_unpacked(m, NULL);
}

static int by_crid(const void *a, const void *b)
{
	const struct store_entry *x = a, *y = b;

	return (x->crid > y->crid) - (x->crid < y->crid);
}

int image_store_list(struct ckpt_op *op, struct store_entry **ret, size_t *ret_n)
{
	_cleanup_free_ char *path = image_store_path(op);
	_cleanup_closedir_ DIR *d = path ? opendir(path) : NULL;
	struct store_entry *v = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;

	*ret = NULL;
	*ret_n = 0;
	if (!path)
		return -EINVAL;
	if (!d)
		return errno == ENOENT ? 0 : op_fail_errno(op, errno, "opendir", "%s", path);
	while ((e = readdir(d))) {
		const char *p = e->d_name;
		uint64_t crid;

		if (str_u64(&p, 10, &crid) < 0 || *p || !crid)
			continue;
		if (vec_reserve(&v, &cap, n + 1, sizeof(*v)) < 0) {
			store_entries_done(v, n);
			return op_fail_errno(op, ENOMEM, NULL, "%s", path);
		}
		entry_read(dirfd(d), e->d_name, crid, &v[n]);
		n++;
	}
	if (n)
		qsort(v, n, sizeof(*v), by_crid);
	*ret = v;
	*ret_n = n;
	return 0;
}

void store_entries_done(struct store_entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].program);
	free(v);
}

int image_store_remove(struct ckpt_op *op, uint64_t crid)
{
	_cleanup_free_ char *path = image_store_path(op);
	_cleanup_close_ int store = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
	char name[32], tmp[64], manifest[64];
	int r;

	if (!path)
		return -EINVAL;
	snprintf(name, sizeof(name), "%" PRIu64, crid);
	snprintf(tmp, sizeof(tmp), ".%s.ckpt-%d.tmp", name, getpid());
	snprintf(manifest, sizeof(manifest), "%s/" IMAGE_MANIFEST, name);
	if (store < 0 || faccessat(store, manifest, F_OK, 0) < 0 ||
		renameat(store, name, store, tmp) < 0) {
		if (errno == ENOENT)
			return op_fail(op, CKPT_E_IMAGE, 0, NULL, "'ckpt list' shows the store",
				"there is no checkpoint %" PRIu64, crid);
		return op_fail_errno(op, errno, "rename", "%s/%s", path, name);
	}
	r = leftover_dir_remove(store, tmp);
	if (r < 0)
		op_warn(op, "%s/%s is no checkpoint any more, but can't be removed: %s", path, tmp,
			strerror(-r));
	return 0;
}
