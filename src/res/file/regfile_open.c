/*
 * regfile_open.c - opening files again.
 *
 * At a restore a file must be the one that it was. Of an executable or library that is mapped the
 * build id decides, wherever it has one: code of another version under running threads is a crash,
 * a copy of the same build is as good. Of other files size and mtime are compared; data may well
 * have changed, so the default is to warn. See req->changed_files.
 *
 * A file without a name is made anew under its old name for the moment of opening it: /proc then
 * shows it as it did. An O_TMPFILE file never had a name, and is made without one, so that it can be
 * linked later.
 */
#include "res/file/regfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "kernel/build_id.h"
#include "proto/fdtable.pb-c.h"
#include "proto/mm.pb-c.h"
#include "proto/regfile.pb-c.h"
#include "res/file/covered.h"
#include "res/file/xattr.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/str.h"
#include "util/vec.h"

/* Flags that are for the task to set (it gets the signals), or that are in our way. */
#define LATER (O_ASYNC)

static int fail_missing(struct open_ctx *o, const char *path, int err)
{
	return op_fail(o->op, err == EACCES ? CKPT_E_PRIVILEGE : CKPT_E_CONFLICT, err, "open",
		err == ENOENT || err == ENOTDIR ? "put the file back where it was" : NULL, "%s",
		path);
}

/* ---- changed files ---- */

/* The mapping that reaches behind the end of a file that has become shorter; NULL: none. */
static const Ckpt__Vma *cut_mapping(
	struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m, uint64_t size)
{
	const struct model_rec *rec;
	size_t pos = 0;

	while (size < m->size_bytes && (rec = model_next(o->model, &res_mm.type, &pos))) {
		const Ckpt__Mm *mm = (const void *)rec->msg;

		for (size_t i = 0; i < mm->n_vmas; i++) {
			const Ckpt__Vma *v = mm->vmas[i];

			if (v->file == id && v->offset + (v->end - v->start) > size)
				return v;
		}
	}
	return NULL;
}

static void say_id(struct strbuf *sb, const uint8_t *p, size_t len)
{
	if (!len)
		strbuf_addf(sb, "none");
	for (size_t i = 0; i < len; i++)
		strbuf_addf(sb, "%02x", p[i]);
}

static void say_change(struct strbuf *sb, const Ckpt__RegFile *m, const struct stat *st,
	const struct build_id *id, const Ckpt__Vma *cut)
{
	uint64_t mtime = stat_mtime_ns(st);

	strbuf_addf(sb,
		"%s changed since the dump: size %llu then, %llu now; mtime %llu.%09llu then, "
		"%llu.%09llu now",
		m->path, (unsigned long long)m->size_bytes, (unsigned long long)st->st_size,
		(unsigned long long)(m->mtime_ns / NS_PER_S),
		(unsigned long long)(m->mtime_ns % NS_PER_S),
		(unsigned long long)(mtime / NS_PER_S), (unsigned long long)(mtime % NS_PER_S));
	if (m->build_id.len) {
		strbuf_addf(sb, "; build id ");
		say_id(sb, m->build_id.data, m->build_id.len);
		strbuf_addf(sb, " then, ");
		say_id(sb, id->bytes, id->len);
		strbuf_addf(sb, " now");
	}
	if (cut)
		strbuf_addf(sb,
			"; it is shorter than its mapping at %llx-%llx, so the program gets a "
			"SIGBUS where it reads behind the end",
			(unsigned long long)cut->start, (unsigned long long)cut->end);
}

/* Whether it is another file than it was, as far as can be told; *id is filled where it counts. */
static bool changed(const Ckpt__RegFile *m, const struct stat *st, int fd, struct build_id *id)
{
	if ((uint64_t)st->st_size == m->size_bytes && stat_mtime_ns(st) == m->mtime_ns)
		return false;
	if (!m->code || !m->build_id.len)
		return true;
	return build_id_read(fd, id) <= 0 || id->len != m->build_id.len ||
	       memcmp(id->bytes, m->build_id.data, id->len) != 0;
}

/* Files that the kernel makes up: a time of change says nothing. */
static bool is_made_up(const struct stat *st, int fd)
{
	static const long types[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP2_SUPER_MAGIC,
		CGROUP_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC};
	struct statfs fs;

	if (major(st->st_dev) || fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (fs.f_type == types[i])
			return true;
	return false;
}

static int check_changed(
	struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m, const struct stat *st, int fd)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	enum ckpt_changed_files how = o->req->changed_files;
	bool refuse = how == CKPT_CHANGED_REFUSE || (how == CKPT_CHANGED_DEFAULT && m->code);
	struct build_id now = {.len = 0};

	if ((st->st_mode & S_IFMT) != (m->mode & S_IFMT) ||
		((S_ISCHR(m->mode) || S_ISBLK(m->mode)) && st->st_rdev != m->rdev))
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL, "put back what it was",
			"%s is another kind of file than it was", m->path);
	if (!S_ISREG(m->mode) || m->flags & O_PATH || how == CKPT_CHANGED_IGNORE ||
		!changed(m, st, fd, &now) || is_made_up(st, fd)) {
		op_debug(o->op, "file %llu: %s%s", (unsigned long long)id, m->path,
			how == CKPT_CHANGED_IGNORE ? "" : ": as it was");
		return 0;
	}
	say_change(&sb, m, st, &now, cut_mapping(o, id, m, st->st_size));
	if (refuse)
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
			"put the file of the dump back, or use --changed-files=warn", "%s",
			sb.s ? sb.s : m->path);
	op_warn(o->op, "%s; the program gets it as it is now", sb.s ? sb.s : m->path);
	return 0;
}

static int open_named(struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m)
{
	int flags = (int)m->flags & ~(LATER | TMPFILE_FLAG);
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r;

	if ((m->flags & TMPFILE_FLAG) == TMPFILE_FLAG) /* it has been linked since */
		flags &= ~O_DIRECTORY;
	flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	fd = m->mount[0] ? covered_open(m->mount, m->mount_path, flags) : open(m->path, flags);
	if (fd < 0)
		return fail_missing(o, m->path, m->mount[0] ? -fd : errno);
	if (fstat(fd, &st) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "fstat", NULL, "%s", m->path);
	r = check_changed(o, id, m, &st, fd);
	if (r < 0)
		return r;
	if (!(m->flags & (O_NONBLOCK | O_PATH)))
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return TAKE_FD(fd);
}

/* ---- files without a name ---- */

/*
 * Opens what a descriptor leads to with other flags, O_NOFOLLOW too: that flag stays in F_GETFL, and with
 * it a link of /proc cannot be opened, or O_PATH opens the link itself. By handle it can, but not every
 * file system has handles (overlayfs); there the flag is lost, which means nothing any more.
 */
static int reopen(int fd, int flags)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = {.head.handle_bytes = MAX_HANDLE_SZ};
	char path[48];
	int mount, again;

	if (flags & O_NOFOLLOW &&
		name_to_handle_at(fd, "", &handle.head, &mount, AT_EMPTY_PATH) == 0) {
		again = open_by_handle_at(fd, &handle.head, flags);
		if (again >= 0)
			return again;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags & ~O_NOFOLLOW);
}

/* Another description of a file that has been made already. */
static int open_again(struct open_ctx *o, const Ckpt__RegFile *m, int first)
{
	int flags = (int)m->flags & ~(LATER | TMPFILE_FLAG), fd;

	if (S_ISREG(m->mode))
		flags &= ~O_DIRECTORY;
	fd = reopen(first, flags | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return op_fail(
			o->op, CKPT_E_SYSTEM, errno, "open", NULL, "deleted file %s", m->path);
	if (!(m->flags & (O_NONBLOCK | O_PATH)))
		fcntl(fd, F_SETFL, flags);
	return fd;
}

/* Contents, owner, attributes, mode and time of last change; the time comes last. */
static int fill(struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m, int fd)
{
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)(m->mtime_ns / NS_PER_S),
						 .tv_nsec = (long)(m->mtime_ns % NS_PER_S)}};
	int r = S_ISREG(m->mode) ? o->contents(o, id, fd) : 0;

	if (r == 0 && S_ISREG(m->mode) && ftruncate(fd, m->size_bytes) < 0)
		r = op_fail(o->op, CKPT_E_SPACE, errno, "ftruncate", NULL, "%s", m->path);
	if (r < 0)
		return r;
	/* a new owner takes capabilities away */
	if (fchown(fd, m->uid, m->gid) < 0)
		op_warn(o->op, "deleted file %s: its owner: %m", m->path);
	xattr_put(o->op, m, fd);
	if (fchmod(fd, m->mode & 07777) < 0 || futimens(fd, times) < 0)
		op_warn(o->op, "deleted file %s: its mode or time: %m", m->path);
	return 0;
}

static int make_tmpfile(struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m)
{
	const char *slash = strrchr(m->path, '/');
	_cleanup_free_ char *dir =
		strndup(m->path, !slash || slash == m->path ? 1 : (size_t)(slash - m->path));
	int flags = (int)m->flags & ~(O_APPEND | O_NONBLOCK | O_DIRECT | LATER);
	_cleanup_close_ int fd = dir ? open(dir, flags | O_CLOEXEC, 0600) : -EBADF;
	int r;

	if (fd < 0)
		return fail_missing(o, dir ? dir : m->path, dir ? errno : ENOMEM);
	r = fill(o, id, m, fd);
	if (r < 0)
		return r;
	fcntl(fd, F_SETFL, (int)m->flags & ~LATER);
	return TAKE_FD(fd);
}

/* What is made under a name. Return: a descriptor; -errno. */
static int make_at(const char *path, uint32_t mode)
{
	int how = S_ISDIR(mode) ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT | O_EXCL, fd;

	if (S_ISDIR(mode) && mkdir(path, 0700) < 0)
		return -errno;
	fd = open(path, how | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/*
 * The directories above a name that are gone as well, for the moment. Return: how many were made, from
 * the lowest up; -errno.
 */
static int make_above(char *path)
{
	char *slash = strrchr(path, '/');
	int r;

	if (!slash || slash == path)
		return 0;
	*slash = 0;
	r = mkdir(path, 0700) == 0 ? 1 : -errno;
	if (r == -ENOENT) {
		r = make_above(path);
		if (r >= 0 && mkdir(path, 0700) == 0)
			r++;
	} else if (r == -EEXIST) {
		r = 0;
	}
	*slash = '/';
	return r;
}

static void drop_above(char *path, int n)
{
	char *slash;

	for (; n > 0 && (slash = strrchr(path, '/')); n--) {
		*slash = 0;
		rmdir(path);
	}
}

static int make_deleted(struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m)
{
	_cleanup_free_ char *other = NULL;
	_cleanup_close_ int fd = make_at(m->path, m->mode);
	const char *path = m->path;
	int r, ret;

	if (fd == -EEXIST) {
		if (asprintf(&other, "%s.ckpt-%d-%llu", m->path, getpid(), (unsigned long long)id) <
			0)
			return op_fail(o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%s", m->path);
		path = other;
		fd = make_at(path, m->mode);
	}
	if (fd < 0)
		return op_fail(o->op, CKPT_E_CONFLICT, -fd, "open", NULL,
			"making deleted file %s again", path);
	r = fill(o, id, m, fd);
	ret = r == 0 ? open_again(o, m, fd) : r;
	if (S_ISDIR(m->mode))
		rmdir(path);
	else
		unlink(path);
	return ret;
}

static int open_nameless(struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m)
{
	_cleanup_free_ char *above = strdup(m->path);
	int first, n_above, fd;

	if (!m->same_inode_as) {
		n_above = above ? make_above(above) : 0;
		fd = (m->flags & TMPFILE_FLAG) == TMPFILE_FLAG ? make_tmpfile(o, id, m)
							       : make_deleted(o, id, m);
		if (above)
			drop_above(above, n_above);
		return fd;
	}
	first = plan_fd(o->plan, m->same_inode_as);
	if (first < 0)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: no file %u before it", (unsigned long long)id,
			m->same_inode_as);
	return open_again(o, m, first);
}

int regfile_open(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__RegFile *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	_cleanup_close_ int fd = -EBADF;

	if (o->unneeded && !m->deleted)
		return OPEN_NOTHING;
	fd = m->deleted ? open_nameless(o, id, m) : open_named(o, id, m);
	if (fd < 0)
		return fd;
	if (m->all_read)
		lseek(fd, 0, SEEK_END);
	if (f && !(m->flags & O_PATH) && f->pos && lseek(fd, f->pos, SEEK_SET) < 0 &&
		errno != ESPIPE)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "lseek", NULL, "%s", m->path);
	return TAKE_FD(fd);
}
