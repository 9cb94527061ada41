/*
 * covered.c - see covered.h.
 *
 * /proc shows the name that a file has below its own mount, whether or not another mount stands over
 * it. A copy of a mount without those upon it (open_tree with OPEN_TREE_CLONE, Linux >= 5.2, needs
 * CAP_SYS_ADMIN) has all files of it at their names again. It can be made of the file's own mount
 * where that can be reached, or of another one of the same file system that shows that part of it.
 */
#include "res/file/covered.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/mountinfo.h"
#include "util/cleanup.h"
#include "util/str.h"

#define HANDLE_BYTES 128
#define MOUNTS_FEW   200 /* more would take longer to look through than the name */

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool covered_name(const char *name, const struct stat *st)
{
	struct stat now;

	return lstat(name, &now) < 0 ? errno == ENOENT || errno == ENOTDIR || errno == ELOOP
				     : !same_inode(&now, st);
}

/* What of a path lies below a directory, without a slash in front; NULL: it does not. */
static const char *below(const char *path, const char *dir)
{
	const char *rest = str_eq(dir, "/") ? path : str_startswith(path, dir);

	if (!rest || (*rest && *rest != '/'))
		return NULL;
	return *rest ? rest + 1 : rest;
}

/*
 * Of the mounts whose points lie on the way to a name, the last one is what the name leads to. If it is
 * the only one of the file's device, then the file is on it. That is cheaper than asking for the name, and
 * true of nearly all files.
 */
static bool on_top(const struct file_look *l)
{
	const struct mount_entry *last = NULL;
	unsigned same = 0;

	for (size_t i = 0; i < l->mounts->n; i++) {
		const struct mount_entry *m = &l->mounts->v[i];

		if (!below(l->link, m->point))
			continue;
		same += makedev(m->dev_major, m->dev_minor) == l->st.st_dev;
		if (!last || strlen(m->point) >= strlen(last->point))
			last = m;
	}
	return same == 1 && makedev(last->dev_major, last->dev_minor) == l->st.st_dev;
}

bool covered(const struct file_look *l)
{
	if (l->mounts && l->mounts->n <= MOUNTS_FEW && on_top(l))
		return false;
	return covered_name(l->link, &l->st);
}

static int tree_of(const char *mount)
{
	int fd = (int)syscall(
		SYS_open_tree, AT_FDCWD, mount, OPEN_TREE_CLONE | O_CLOEXEC | AT_NO_AUTOMOUNT);

	return fd < 0 ? -errno : fd;
}

/* On the mount itself rather than on our copy of it, where the file system has handles. */
static int open_on(const char *mount, int found, int flags)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + HANDLE_BYTES];
	} u = {.h.handle_bytes = HANDLE_BYTES};
	_cleanup_close_ int at = -EBADF;
	int id, fd;

	if (name_to_handle_at(found, "", &u.h, &id, AT_EMPTY_PATH) < 0)
		return -errno;
	at = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	fd = at < 0 ? -1 : open_by_handle_at(at, &u.h, flags);
	return fd < 0 ? -errno : fd;
}

int covered_open(const char *mount, const char *path, int flags)
{
	_cleanup_close_ int tree = tree_of(mount), found = -EBADF;
	int fd;

	if (tree < 0)
		return tree;
	found = openat(tree, *path ? path : ".", O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (found < 0)
		return -errno;
	fd = open_on(mount, found, flags);
	if (fd < 0)
		fd = openat(tree, *path ? path : ".", flags);
	return fd < 0 ? -errno : fd;
}

/* Which mount it is on. Return: its number; -errno */
static int mount_of(int procfd, const char *at)
{
	_cleanup_close_ int fd = openat(procfd, at, O_PATH | O_CLOEXEC);
	struct statx stx;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
		return -errno;
	return stx.stx_mask & STATX_MNT_ID ? (int)stx.stx_mnt_id : -EOPNOTSUPP;
}

static const struct mount_entry *by_id(const struct mount_list *l, int id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].id == id)
			return &l->v[i];
	return NULL;
}

/* The name from the root of the file system. NULL: no memory, or it is not below its mount. */
static char *path_in_fs(const struct mount_entry *m, const char *link)
{
	const char *rest = below(link, m->point);
	char *path;

	if (!rest || asprintf(&path, "%s/%s", str_eq(m->root, "/") ? "" : m->root, rest) < 0)
		return NULL;
	return path;
}

static int try_mount(const struct mount_entry *m, const char *rest, const struct stat *st)
{
	_cleanup_close_ int tree = tree_of(m->point);
	struct stat now;

	if (tree < 0)
		return tree;
	if (fstatat(tree, rest, &now, *rest ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) < 0)
		return -errno;
	return same_inode(&now, st) ? 0 : -ENOENT;
}

int covered_find(int procfd, const struct file_look *l, char **ret_mount, char **ret_path)
{
	_cleanup_mounts_ struct mount_list list = {0};
	_cleanup_free_ char *path = NULL, *mount = NULL;
	const struct mount_entry *own;
	int r = mount_of(procfd, l->at);

	if (r < 0)
		return r;
	own = mountinfo_read(&list) == 0 ? by_id(&list, r) : NULL;
	path = own ? path_in_fs(own, l->link) : NULL;
	r = -ENOENT;
	for (size_t i = 0; path && i < list.n; i++) {
		const struct mount_entry *m = &list.v[i];
		const char *rest = m->dev_major == own->dev_major && m->dev_minor == own->dev_minor
					   ? below(path, m->root)
					   : NULL;

		if (!rest)
			continue;
		r = try_mount(m, rest, &l->st);
		if (r < 0)
			continue;
		mount = strdup(m->point);
		*ret_path = mount ? strdup(rest) : NULL;
		if (!*ret_path)
			return -ENOMEM;
		*ret_mount = TAKE_PTR(mount);
		return 0;
	}
	return r;
}
