/*
 * regfile.c - files that have a name: regular files, directories, character devices, named pipes,
 * and whatever is open with O_PATH.
 *
 * A file that no name leads to any more is saved with its contents, and made anew under its old name
 * for the moment of opening it. At a restore a file must be the one that it was: its size and mtime
 * are compared; an executable or library that is mapped must have the same build id, because code
 * of another version under running threads is a crash; see req->changed_files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "proto/fdtable.pb-c.h"
#include "proto/regfile.pb-c.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"

static uint64_t mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000ULL + (uint64_t)st->st_mtim.tv_nsec;
}

static bool match(const struct file_look *l)
{
	if (l->link[0] != '/')
		return false;
	if (l->flags & O_PATH)
		return true;
	switch (l->st.st_mode & S_IFMT) {
	case S_IFREG:
		return !(l->deleted && strncmp(l->link, "/memfd:", 7) == 0);
	case S_IFDIR:
		return !l->deleted;
	case S_IFCHR:
		/* null, zero, full, random, urandom, kmsg: no state behind them */
		return major(l->st.st_rdev) == 1;
	default:
		return false;
	}
}

static int want_contents(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.end = l->st.st_size,
		.resident_bytes = l->st.st_blocks * 512ULL};

	w.fd = openat(c->proc_fd, l->at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (w.fd < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, errno, "open", NULL,
			"pid %d (%s): deleted file %s", c->pid, c->tr->comm, l->link);
	return collect_want_take(c, &w);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__RegFile *m = msg_new(Ckpt__RegFile, CKPT__REG_FILE__INIT);
	bool fresh;

	if (!m)
		return collect_oom(c);
	m->path = strdup(l->link);
	m->mode = l->st.st_mode;
	m->dev = l->st.st_dev;
	m->ino = l->st.st_ino;
	m->rdev = l->st.st_rdev;
	m->size_bytes = l->st.st_size;
	m->mtime_ns = mtime_ns(&l->st);
	m->flags = l->flags;
	m->uid = l->st.st_uid;
	m->gid = l->st.st_gid;
	m->deleted = l->deleted && S_ISREG(l->st.st_mode);
	m->mapped_exec = l->map_exec;
	if (m->deleted)
		m->same_inode_as = l->first_id;
	fresh = m->deleted && !m->same_inode_as;
	if (collect_add_take(c, &res_regfile.type, id, m) < 0)
		return -ENOMEM;
	return fresh ? want_contents(c, id, l) : 0;
}

/* ---- restore ---- */

static int check_changed(struct open_ctx *o, const Ckpt__RegFile *m, const struct stat *st)
{
	enum ckpt_changed_files how = o->req->changed_files;
	bool refuse = how == CKPT_CHANGED_REFUSE || (how == CKPT_CHANGED_DEFAULT && m->mapped_exec);

	if (!S_ISREG(m->mode) || m->flags & O_PATH || how == CKPT_CHANGED_IGNORE)
		return 0;
	if (!S_ISREG(st->st_mode))
		return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL, NULL,
			"%s is no regular file any more", m->path);
	if ((uint64_t)st->st_size == m->size_bytes && mtime_ns(st) == m->mtime_ns)
		return 0;
	if (!refuse) {
		op_warn(o->op, "%s changed since the dump: %llu bytes then, %llu now", m->path,
			(unsigned long long)m->size_bytes, (unsigned long long)st->st_size);
		return 0;
	}
	return op_fail(o->op, CKPT_E_CONFLICT, 0, NULL,
		"put the file of the dump back, or use --changed-files=warn",
		"%s changed since the dump: size %llu then, %llu now; mtime %llu.%09llu then, "
		"%llu.%09llu now",
		m->path, (unsigned long long)m->size_bytes, (unsigned long long)st->st_size,
		(unsigned long long)m->mtime_ns / 1000000000ULL,
		(unsigned long long)m->mtime_ns % 1000000000ULL,
		(unsigned long long)mtime_ns(st) / 1000000000ULL,
		(unsigned long long)mtime_ns(st) % 1000000000ULL);
}

static int open_named(struct open_ctx *o, const Ckpt__RegFile *m)
{
	_cleanup_close_ int fd = open(m->path, (int)m->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return op_fail(o->op, errno == EACCES ? CKPT_E_PRIVILEGE : CKPT_E_CONFLICT, errno,
			"open", errno == ENOENT ? "put the file back where it was" : NULL, "%s",
			m->path);
	if (fstat(fd, &st) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "fstat", NULL, "%s", m->path);
	r = check_changed(o, m, &st);
	if (r < 0)
		return r;
	if (!(m->flags & (O_NONBLOCK | O_PATH)))
		fcntl(fd, F_SETFL, (int)m->flags);
	return TAKE_FD(fd);
}

/* Another description of a deleted file that has been made already. */
static int open_again(struct open_ctx *o, const Ckpt__RegFile *m, int first)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", first);
	fd = open(path, (int)m->flags | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return op_fail(
			o->op, CKPT_E_SYSTEM, errno, "open", NULL, "deleted file %s", m->path);
	if (!(m->flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, (int)m->flags);
	return fd;
}

/* Under its old name where that is free: /proc then shows the file as it did. */
static int make_deleted(struct open_ctx *o, uint64_t id, const Ckpt__RegFile *m)
{
	_cleanup_free_ char *other = NULL;
	_cleanup_close_ int fd = -EBADF;
	const char *path = m->path;
	int r, ret;

	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, m->mode & 07777);
	if (fd < 0 && errno == EEXIST) {
		if (asprintf(&other, "%s.ckpt-%d-%llu", m->path, getpid(), (unsigned long long)id) <
			0)
			return op_fail(o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%s", m->path);
		path = other;
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, m->mode & 07777);
	}
	if (fd < 0)
		return op_fail(o->op, CKPT_E_CONFLICT, errno, "open", NULL,
			"making deleted file %s again", path);
	r = o->contents(o, id, fd);
	if (r == 0 && ftruncate(fd, m->size_bytes) < 0)
		r = op_fail(o->op, CKPT_E_SPACE, errno, "ftruncate", NULL, "%s", path);
	if (r == 0 && (fchown(fd, m->uid, m->gid) < 0 || fchmod(fd, m->mode & 07777) < 0))
		op_warn(o->op, "deleted file %s: owner or mode: %m", path);
	ret = r == 0 ? open_again(o, m, fd) : r;
	unlink(path);
	return ret;
}

static int open_regfile(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__RegFile *m = (const void *)rec->msg;
	const Ckpt__File *f = file_record;
	int fd, first;

	if (!m->deleted) {
		fd = open_named(o, m);
	} else if (m->same_inode_as) {
		first = plan_fd(o->plan, m->same_inode_as);
		fd = first < 0 ? op_fail(o->op, CKPT_E_IMAGE, 0, NULL, NULL,
					 "file %llu: no file %u before it", (unsigned long long)id,
					 m->same_inode_as)
			       : open_again(o, m, first);
	} else {
		fd = make_deleted(o, id, m);
	}
	if (fd >= 0 && f && !(m->flags & O_PATH) && f->pos && lseek(fd, f->pos, SEEK_SET) < 0 &&
		errno != ESPIPE) {
		fd_close(fd);
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "lseek", NULL, "%s", m->path);
	}
	return fd;
}

static const struct file_ops ops = {.match = match, .collect = collect, .open = open_regfile};
static const char *const volatile_fields[] = {"mtime_ns", "ino", "dev", NULL};

const struct res res_regfile = {
	.type = {"regfile", SCOPE_FILE, &ckpt__reg_file__descriptor, volatile_fields},
	.file = &ops,
};
