/*
 * watched.c - see watched.h.
 *
 * The kernel opens a handle on any mount of its file system (open_by_handle_at, Linux >= 2.6.39, needs
 * CAP_DAC_READ_SEARCH), and then has a name for it, if it has one at all. Overlayfs and others give
 * handles that can only be compared (since 6.5): there the names are looked through, first below the
 * program's working directory, then below the mount, up to a number that takes some tenths of a second.
 */
#include "res/file/watched.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel/fdinfo.h"
#include "kernel/mountinfo.h"
#include "proto/regfile.pb-c.h"
#include "util/cleanup.h"
#include "util/str.h"

#define MINOR_BITS 20
#define DEPTH_MAX  64
#define OVERLAYFS  0x794c7630

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif

union handle {
	struct file_handle h;
	char room[sizeof(struct file_handle) + WATCHED_HANDLE_MAX];
};

static int unhex(const char *s, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned v;

		if (sscanf(s + 2 * i, "%2x", &v) != 1)
			return -EBADMSG;
		out[i] = (uint8_t)v;
	}
	return 0;
}

dev_t watched_dev(unsigned sdev)
{
	return makedev(sdev >> MINOR_BITS, sdev & ((1U << MINOR_BITS) - 1));
}

int watched_parse(const char *value, struct watched *ret)
{
	const char *at = strstr(value, "ino:"), *hex = strstr(value, "f_handle:");
	struct watched w = {0};
	unsigned long ino;
	unsigned sdev;

	if (!at || sscanf(at, "ino:%lx sdev:%x", &ino, &sdev) != 2)
		return -EBADMSG;
	w.ino = ino;
	w.dev = watched_dev(sdev);
	at = strstr(value, "fhandle-bytes:");
	if (at && hex &&
		sscanf(at, "fhandle-bytes:%x fhandle-type:%x", &w.handle_bytes, &w.handle_type) ==
			2) {
		if (w.handle_bytes > WATCHED_HANDLE_MAX ||
			unhex(hex + strlen("f_handle:"), w.handle, w.handle_bytes) < 0)
			return -EBADMSG;
	} else {
		w.handle_bytes = 0;
	}
	*ret = w;
	return 0;
}

/* ---- by its handle ---- */

/* Some directory of its file system, open. -ENOENT: it is not mounted here. */
static int open_mount(const struct mount_list *list, const struct watched *w, size_t *pos)
{
	while (*pos < list->n) {
		const struct mount_entry *m = &list->v[(*pos)++];
		int fd;

		if (m->dev_major != major(w->dev) || m->dev_minor != minor(w->dev))
			continue;
		fd = open(m->point, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

static int by_handle(int mount, const struct watched *w, char **ret)
{
	union handle u = {
		.h = {.handle_bytes = w->handle_bytes, .handle_type = (int)w->handle_type}};
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	struct stat st;
	int r;

	if (!w->handle_bytes)
		return -EOPNOTSUPP;
	memcpy(u.h.f_handle, w->handle, w->handle_bytes);
	fd = open_by_handle_at(mount, &u.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fd_path(fd, &path);
	if (r < 0)
		return r;
	if (lstat(path, &st) < 0 || st.st_ino != w->ino)
		return -ENOENT;
	*ret = TAKE_PTR(path);
	return 0;
}

/* ---- by looking through names ---- */

struct search {
	const struct watched *w;
	unsigned *left; /* entries */
	unsigned depth;
	struct strbuf path; /* of the directory that is looked through */
};

static bool is_it(const struct watched *w, int dir, const char *name, const struct stat *st)
{
	union handle u = {.h.handle_bytes = WATCHED_HANDLE_MAX};
	int mount;

	if (st->st_ino != w->ino)
		return false;
	if (!w->handle_bytes || name_to_handle_at(dir, name, &u.h, &mount,
					AT_HANDLE_FID | (*name ? 0 : AT_EMPTY_PATH)) < 0)
		return st->st_dev == w->dev;
	return u.h.handle_bytes == w->handle_bytes && u.h.handle_type == (int)w->handle_type &&
	       memcmp(u.h.f_handle, w->handle, w->handle_bytes) == 0;
}

static int search_dir(struct search *s, int fd_take, char **ret);

static int search_entry(struct search *s, int dir, const char *name, char **ret)
{
	size_t len = s->path.len;
	struct stat st;
	int fd, r = -ENOENT;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -ENOENT;
	if (is_it(s->w, dir, name, &st))
		return asprintf(ret, "%s/%s", s->path.s ? s->path.s : "", name) < 0 ? -ENOMEM : 0;
	if (!S_ISDIR(st.st_mode) || s->depth == DEPTH_MAX)
		return -ENOENT;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	strbuf_addf(&s->path, "/%s", name);
	s->depth++;
	r = search_dir(s, fd, ret);
	s->depth--;
	s->path.len = len;
	if (s->path.s)
		s->path.s[len] = '\0';
	return r;
}

/* Depth first; other file systems than its own are left out. */
static int search_dir(struct search *s, int fd_take, char **ret)
{
	_cleanup_closedir_ DIR *d = fdopendir(fd_take);
	struct stat st;
	struct dirent *e;
	int r = -ENOENT;

	if (!d) {
		fd_close(fd_take);
		return -ENOENT;
	}
	if (fstat(dirfd(d), &st) < 0 || st.st_dev != s->w->dev)
		return -ENOENT;
	while (r == -ENOENT && *s->left && (e = readdir(d))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		--*s->left;
		r = search_entry(s, dirfd(d), e->d_name, ret);
	}
	return r;
}

static int search_from(struct search *s, const char *start, char **ret)
{
	int fd = open(start, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &st) == 0 && is_it(s->w, fd, "", &st)) {
		fd_close(fd);
		*ret = strdup(start);
		return *ret ? 0 : -ENOMEM;
	}
	strbuf_done(&s->path);
	if (!str_eq(start, "/"))
		strbuf_add(&s->path, start);
	return search_dir(s, fd, ret);
}

static int by_names(int procfd, const struct mount_list *list, const struct watched *w,
	unsigned *budget, char **ret)
{
	struct search s = {.w = w, .left = budget};
	_cleanup_free_ char *cwd = NULL;
	int r = -ENOENT;

	if (link_read_at(procfd, "cwd", &cwd) == 0)
		r = search_from(&s, cwd, ret);
	for (size_t i = 0; r == -ENOENT && i < list->n; i++)
		if (list->v[i].dev_major == major(w->dev) && list->v[i].dev_minor == minor(w->dev))
			r = search_from(&s, list->v[i].point, ret);
	strbuf_done(&s.path);
	return r;
}

static bool is_overlay(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == OVERLAYFS;
}

int watched_find(int procfd, const struct watched *w, unsigned *budget, char **ret)
{
	_cleanup_mounts_ struct mount_list list = {0};
	int r = mountinfo_read(&list);
	size_t pos = 0;

	while (r == 0) {
		_cleanup_close_ int mount = open_mount(&list, w, &pos);

		if (mount < 0)
			return mount;
		r = by_handle(mount, w, ret);
		if (r < 0 && (r == -EOPNOTSUPP || is_overlay(mount)))
			return by_names(procfd, &list, w, budget, ret);
		if (r == 0 || r == -ENOMEM)
			return r;
		r = 0; /* perhaps another mount of it shows the name */
	}
	return r;
}

bool watched_is_open(int procfd, const struct watched *w)
{
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	char at[32];
	struct stat st;

	if (fdinfo_list(procfd, &fds, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		snprintf(at, sizeof(at), "fd/%d", fds[i]);
		if (fstatat(procfd, at, &st, 0) == 0 && st.st_dev == w->dev && st.st_ino == w->ino)
			return true;
	}
	return false;
}

uint32_t watched_file(const struct model *m, dev_t dev, uint64_t ino)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while ((rec = model_next(m, &res_regfile.type, &pos))) {
		const Ckpt__RegFile *f = (const void *)rec->msg;

		if (f->deleted && f->dev == dev && f->ino == ino)
			return f->same_inode_as ? f->same_inode_as : (uint32_t)rec->owner;
	}
	return 0;
}

const char *watched_path(const struct open_ctx *o, const char *path, uint32_t file, char room[48])
{
	if (!file)
		return path;
	snprintf(room, 48, "/proc/self/fd/%d", plan_fd(o->plan, file));
	return room;
}
