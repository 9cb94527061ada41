/*
 * place.c - where a new image is written: see place.h.
 *
 * Directories are walked by descriptor, so that nothing depends on the working directory or on
 * what happens to the path meanwhile. They are made with mode 0700: an image holds the memory of
 * a process, with its secrets.
 */
#include "image/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/leftover.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define DIR_FLAGS (O_DIRECTORY | O_CLOEXEC)
#define TRIES     5 /* of a temporary directory that a cleaner takes away */

int rename_excl(int old_fd, const char *old_name, int new_fd, const char *new_name)
{
	struct stat st;

	if (renameat2(old_fd, old_name, new_fd, new_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (fstatat(new_fd, new_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(old_fd, old_name, new_fd, new_name) < 0 ? -errno : 0;
}

bool place_is_new(const struct place *p)
{
	return p->tmp;
}

void place_done(struct place *p)
{
	for (size_t i = 0; i < p->n_made; i++) {
		fd_close(p->made[i].parent_fd);
		free(p->made[i].name);
	}
	free(p->made);
	free(p->path);
	free(p->base);
	free(p->tmp);
	fd_close(p->dir_fd);
	fd_close(p->parent_fd);
	*p = (struct place){.dir_fd = -EBADF, .parent_fd = -EBADF};
}

void place_undo(struct place *p)
{
	if (p->tmp)
		unlinkat(p->parent_fd, p->tmp, AT_REMOVEDIR);
	for (size_t i = p->n_made; i-- > 0;) {
		if (p->made[i].name)
			unlinkat(p->made[i].parent_fd, p->made[i].name, AT_REMOVEDIR);
	}
	place_done(p);
}

/* Remember that @name was just made in @parent_fd. Return: 0; -errno, it is removed again. */
static int made_note(struct place *p, int parent_fd, const char *name)
{
	int r = vec_reserve(&p->made, &p->cap_made, p->n_made + 1, sizeof(*p->made));

	if (r == 0) {
		struct place_made *made = &p->made[p->n_made++];

		made->parent_fd = fcntl(parent_fd, F_DUPFD_CLOEXEC, 0);
		if (made->parent_fd < 0)
			r = -errno;
		made->name = strdup(name);
		if (!made->name)
			r = -ENOMEM;
	}
	if (r < 0)
		unlinkat(parent_fd, name, AT_REMOVEDIR);
	return r;
}

/* Open the directory @name in @fd, making it where it is missing. Return: fd, or -errno. */
static int enter(struct place *p, int fd, const char *name)
{
	int next = openat(fd, name, O_PATH | DIR_FLAGS), r;

	if (next >= 0 || errno != ENOENT)
		return next < 0 ? -errno : next;
	if (mkdirat(fd, name, 0700) == 0) {
		r = made_note(p, fd, name);
		if (r < 0)
			return r;
	} else if (errno != EEXIST) {
		return -errno;
	}
	next = openat(fd, name, O_PATH | DIR_FLAGS);
	return next < 0 ? -errno : next;
}

/* Walk to the parent of @path and make what is missing. @path is cut up. Return: 0; -errno. */
static int parent_open(struct place *p, char *path)
{
	_cleanup_close_ int fd = open(*path == '/' ? "/" : ".", O_PATH | DIR_FLAGS);
	char *save, *name = strtok_r(path, "/", &save), *rest;
	int next;

	if (fd < 0)
		return -errno;
	for (; name && (rest = strtok_r(NULL, "/", &save)); name = rest) {
		next = enter(p, fd, name);
		if (next < 0)
			return next;
		fd_close(fd);
		fd = next;
	}
	if (!name || str_eq(name, ".") || str_eq(name, ".."))
		return -ENOENT;
	p->base = strdup(name);
	p->parent_fd = TAKE_FD(fd);
	return p->base ? 0 : -ENOMEM;
}

static int tmp_open(struct place *p, uint64_t token)
{
	_cleanup_free_ char *tmp = NULL;

	/* Cut, so that the longest permitted name gets a temporary one too. */
	if (asprintf(&tmp, ".%.200s.ckpt-%" PRIu64 ".tmp", p->base, token) < 0) {
		tmp = NULL;
		return -ENOMEM;
	}
	if (mkdirat(p->parent_fd, tmp, 0700) < 0)
		return -errno;
	p->tmp = TAKE_PTR(tmp);
	p->dir_fd = openat(p->parent_fd, p->tmp, O_RDONLY | O_NOFOLLOW | DIR_FLAGS);
	return p->dir_fd < 0 ? -errno : 0;
}

/*
 * Lock the temporary directory, so that nobody takes it for a dead writer's. Who came between mkdir and
 * here did: then it is gone, or it goes while we wait.
 */
static int tmp_lock(struct place *p)
{
	struct stat st;

	if (flock(p->dir_fd, LOCK_EX) < 0)
		return 0; /* a file system without locks; nothing is cleaned up on it */
	if (fstat(p->dir_fd, &st) < 0)
		return -errno;
	return st.st_nlink ? 0 : -ENOENT;
}

static int tmp_make(struct place *p, uint64_t token)
{
	int r = -ENOENT;

	for (int i = 0; i < TRIES && r == -ENOENT; i++) {
		p->dir_fd = fd_close(p->dir_fd);
		free(TAKE_PTR(p->tmp));
		r = tmp_open(p, token);
		if (r == 0)
			r = tmp_lock(p);
	}
	return r;
}

static int new_open(struct ckpt_op *op, struct place *p, uint64_t token)
{
	_cleanup_free_ char *copy = strdup(p->path);
	int r;

	if (!copy)
		return op_fail_errno(op, ENOMEM, NULL, "image %s", p->path);
	r = parent_open(p, copy);
	if (r < 0)
		return op_fail_errno(op, -r, "mkdir", "image %s: its parent directory", p->path);
	leftover_dirs_remove(op, p->parent_fd, p->path);
	r = tmp_make(p, token);
	if (r == -ENOENT || r == -EPERM)
		return op_fail(op, r == -EPERM ? CKPT_E_PRIVILEGE : CKPT_E_SYSTEM, -r, "mkdir",
			"no directory can be made in that file system: choose another one with -D",
			"image %s: a temporary directory beside it", p->path);
	if (r < 0)
		return op_fail_errno(
			op, -r, "mkdir", "image %s: a temporary directory beside it", p->path);
	return 0;
}

static int lock(struct ckpt_op *op, struct place *p)
{
	/* Without locks on this file system, two writers are the user's to keep apart. */
	p->locked = flock(p->dir_fd, LOCK_EX | LOCK_NB) == 0;
	if (p->locked || errno != EWOULDBLOCK)
		return 0;
	return op_fail(op, CKPT_E_CONFLICT, EWOULDBLOCK, "flock",
		"wait until it is done, or choose another directory with -D",
		"image %s: another ckpt writes into it now", p->path);
}

static int there_open(struct ckpt_op *op, struct place *p)
{
	_cleanup_close_ int parent = openat(p->dir_fd, "..", O_PATH | DIR_FLAGS);

	if (parent >= 0)
		leftover_dirs_remove(op, parent, p->path);
	return lock(op, p);
}

int place_open(struct ckpt_op *op, const char *path, uint64_t token, struct place *ret)
{
	struct place p = {.dir_fd = -EBADF, .parent_fd = -EBADF, .path = strdup(path)};
	int r;

	if (!p.path)
		return op_fail_errno(op, ENOMEM, NULL, "image %s", path);
	p.dir_fd = open(path, O_RDONLY | DIR_FLAGS);
	if (p.dir_fd >= 0)
		r = there_open(op, &p);
	else if (errno == ENOENT && *path)
		r = new_open(op, &p, token);
	else
		r = op_fail_errno(op, errno, "open", "image %s", path);
	if (r < 0)
		place_undo(&p);
	else
		*ret = p;
	return r;
}

int place_publish(struct ckpt_op *op, struct place *p, bool sync)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!p->tmp)
		return 0;
	r = rename_excl(p->parent_fd, p->tmp, p->parent_fd, p->base);
	/* What rename(2) says where the fallback meets a directory with something in it. */
	if (r == -EEXIST || r == -ENOTEMPTY)
		return op_fail(op, CKPT_E_CONFLICT, EEXIST, "rename",
			"choose another directory with -D",
			"image %s: somebody else made it meanwhile", p->path);
	if (r < 0)
		return op_fail_errno(op, -r, "rename", "image %s", p->path);
	if (!sync)
		return 0;
	fd = openat(p->parent_fd, ".", O_RDONLY | DIR_FLAGS);
	if (fd < 0 || fsync(fd) < 0)
		op_warn(op, "image %s: fsync of its parent directory: %s", p->path,
			strerror(errno));
	return 0;
}
