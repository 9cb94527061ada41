/*
 * pipe_open.c - pipes again.
 *
 * Opening /proc/self/fd/N of a pipe never waits for the other end, but sets O_LARGEFILE, which the
 * descriptions that pipe2 makes do not have: these two are made by pipe2 again. Contents are written
 * buffer by buffer where that matters, see pipe.c.
 */
#include "res/file/pipe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/fdtable.pb-c.h"
#include "proto/pipe.pb-c.h"
#include "util/str.h"

#define SETTABLE (O_NONBLOCK | O_DIRECT | O_APPEND | O_NOATIME)

static int fail_contents(struct open_ctx *o, int err)
{
	return op_fail(o->op, err == EAGAIN ? CKPT_E_IMAGE : CKPT_E_SYSTEM, err, "write",
		err == EAGAIN ? "see ckpt verify" : NULL, "the contents of a pipe");
}

/* A buffer that does not join with its neighbours: what is spliced never does. */
static int put_alone(struct own_pipe *helper, int w, const uint8_t *p, size_t len)
{
	if (write(helper->w, p, len) != (ssize_t)len)
		return -EIO;
	if (splice(helper->r, NULL, w, NULL, len, NO_WAIT) != (ssize_t)len)
		return errno == EAGAIN ? -EAGAIN : -EIO;
	return 0;
}

static int put_plain(int w, const uint8_t *p, size_t len)
{
	ssize_t n = len ? write(w, p, len) : 0;

	if (n == (ssize_t)len)
		return 0;
	return n < 0 ? -errno : -EAGAIN;
}

static int put_packet(int w, const uint8_t *p, size_t len)
{
	int r;

	if (fcntl(w, F_SETFL, O_NONBLOCK | O_DIRECT) < 0)
		return -errno;
	r = put_plain(w, p, len);
	return fcntl(w, F_SETFL, O_NONBLOCK) < 0 ? -errno : r;
}

static int put_buffers(struct open_ctx *o, const Ckpt__Pipe *m, int w, const uint8_t *p)
{
	_cleanup_own_ struct own_pipe helper = OWN_NONE;
	uint64_t left = m->contents_bytes;
	int r = own_open(&helper, PIPE_BUFFER_MAX);

	for (size_t i = 0; r == 0 && i < m->n_buffers; i++) {
		uint32_t n = m->buffers[i]->bytes;

		if (n > left)
			return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"a pipe has more buffers than bytes");
		if (m->buffers[i]->packet)
			r = put_packet(w, p, n);
		else if (n < PIPE_BUFFER_MAX && i + 1 < m->n_buffers)
			r = put_alone(&helper, w, p, n);
		else
			r = put_plain(w, p, n);
		p += n;
		left -= n;
	}
	return r < 0 ? fail_contents(o, -r) : 0;
}

/* @w: writes without waiting */
static int put_contents(struct open_ctx *o, uint64_t id, const Ckpt__Pipe *m, int w)
{
	_cleanup_free_ uint8_t *big = NULL;
	_cleanup_close_ int fd = -EBADF;
	const uint8_t *p = m->contents.data;
	uint64_t len = m->contents_bytes;
	int r;

	if (!len)
		return 0;
	if (len > m->size_bytes || (len <= PIPE_SMALL_BYTES && m->contents.len != len))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a pipe of %u bytes with %llu in it", m->size_bytes,
			(unsigned long long)len);
	if (len > PIPE_SMALL_BYTES) {
		big = malloc(len);
		fd = memfd_create("pipe", MFD_CLOEXEC);
		if (!big || fd < 0 || ftruncate(fd, len) < 0)
			return op_fail(
				o->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "the contents of a pipe");
		r = o->contents(o, id, fd);
		if (r == 0)
			r = pread_full(fd, big, len, 0);
		if (r < 0)
			return op_fail(
				o->op, CKPT_E_IMAGE, -r, NULL, NULL, "the contents of a pipe");
		p = big;
	}
	if (m->n_buffers)
		return put_buffers(o, m, w, p);
	r = put_plain(w, p, len);
	return r < 0 ? fail_contents(o, -r) : 0;
}

/* What belongs to the inode. A name's mode and owner are its file system's. */
static int set_inode(struct open_ctx *o, const Ckpt__Pipe *m, int fd)
{
	struct stat st;

	if (m->size_bytes && fcntl(fd, F_GETPIPE_SZ) != (int)m->size_bytes &&
		fcntl(fd, F_SETPIPE_SZ, m->size_bytes) < 0)
		return op_fail(o->op, CKPT_E_PRIVILEGE, errno, "fcntl(F_SETPIPE_SZ)",
			"raise /proc/sys/fs/pipe-max-size", "a pipe of %u bytes", m->size_bytes);
	if ((m->path[0] && !m->deleted) || fstat(fd, &st) < 0)
		return 0;
	if ((st.st_uid != m->uid || st.st_gid != m->gid) && fchown(fd, m->uid, m->gid) < 0)
		op_warn(o->op, "a pipe's owner: %m");
	if (st.st_mode != m->mode && fchmod(fd, m->mode & 07777) < 0)
		op_warn(o->op, "a pipe's mode: %m");
	return 0;
}

/* Another description of an inode; needs no name, and does not wait. */
static int open_again(struct open_ctx *o, int fd, uint32_t flags)
{
	_cleanup_close_ int reader = -EBADF;
	char path[48];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* a named pipe without a reader would not be opened for writing */
	if (!(flags & O_PATH) && (flags & O_ACCMODE) == O_WRONLY)
		reader = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	again = open(
		path, (int)(flags & ~SETTABLE) | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK));
	if (again < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "open", NULL, "another end of a pipe");
	if (!(flags & O_PATH))
		fcntl(again, F_SETFL, (int)(flags & SETTABLE));
	return again;
}

/* One of the two that pipe2 has made, kept for the description that it is. */
static int keep_half(struct open_ctx *o, uint64_t first, uint64_t id, int *fd)
{
	const Ckpt__Pipe *m = model_get(o->model, &res_pipe.type, id);
	const Ckpt__File *f = model_get(o->model, &res_file.type, id);

	if (!m || !f || (id != first && m->same_inode_as != first))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu is no end of pipe %llu", (unsigned long long)id,
			(unsigned long long)first);
	if (fcntl(*fd, F_SETFL, (int)(f->flags & SETTABLE)) < 0)
		return op_fail(o->op, CKPT_E_SYSTEM, errno, "fcntl(F_SETFL)", NULL, "a pipe");
	return id == first ? 0 : o->also(o, id, TAKE_FD(*fd));
}

static int make_pipe(struct open_ctx *o, uint64_t id, const Ckpt__Pipe *m, uint32_t flags)
{
	_cleanup_own_ struct own_pipe p = OWN_NONE;
	_cleanup_close_ int fd = -EBADF;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return op_fail(o->op, CKPT_E_SPACE, errno, "pipe2", NULL, "a pipe");
	p = (struct own_pipe){fds[0], fds[1]};
	r = set_inode(o, m, p.w);
	if (r == 0)
		r = put_contents(o, id, m, p.w);
	if (r == 0 && id != m->read_half && id != m->write_half)
		r = fd = open_again(o, p.r, flags);
	if (r >= 0 && m->read_half)
		r = keep_half(o, id, m->read_half, &p.r);
	if (r >= 0 && m->write_half)
		r = keep_half(o, id, m->write_half, &p.w);
	if (r < 0)
		return r;
	if (id == m->read_half)
		return TAKE_FD(p.r);
	return id == m->write_half ? TAKE_FD(p.w) : TAKE_FD(fd);
}

/* ---- named pipes ---- */

/* A named pipe that is being opened again. */
struct fifo {
	struct open_ctx *o;
	uint64_t first; /* id of its first end */
	const Ckpt__Pipe *m;
	int at;    /* O_PATH: what leads to it */
	int both;  /* an end of our own for both directions, while others are opened */
	int found; /* the first end; -EBADF: not yet opened */
};

/* Its name, made for a moment where it has none any more. */
static int find_fifo(struct fifo *p)
{
	_cleanup_free_ char *other = NULL;
	const char *path = p->m->path;
	struct stat st;
	int err;

	if (p->m->deleted && mkfifo(path, 0600) < 0) {
		if (errno != EEXIST ||
			asprintf(&other, "%s.ckpt-%d-%llu", path, getpid(),
				(unsigned long long)p->first) < 0 ||
			mkfifo(path = other, 0600) < 0)
			return op_fail(p->o->op, CKPT_E_CONFLICT, errno, "mkfifo", NULL,
				"making deleted named pipe %s again", path);
	}
	p->at = open(path, O_PATH | O_CLOEXEC);
	err = errno;
	if (p->m->deleted)
		unlink(path);
	if (p->at < 0 || fstat(p->at, &st) < 0 || !S_ISFIFO(st.st_mode))
		return op_fail(p->o->op, CKPT_E_CONFLICT, p->at < 0 ? err : 0, "open",
			p->at < 0 && err == ENOENT ? "put the named pipe back where it was" : NULL,
			"%s%s", path, p->at < 0 ? "" : ": it is no named pipe any more");
	return 0;
}

static int fill_fifo(struct fifo *p)
{
	char path[48];
	int r, left = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->at);
	p->both = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->both < 0)
		return op_fail(p->o->op, CKPT_E_SYSTEM, errno, "open", NULL, "%s", p->m->path);
	r = set_inode(p->o, p->m, p->both);
	if (r == 0 && ioctl(p->both, FIONREAD, &left) == 0 && left && p->m->contents_bytes)
		r = op_fail(p->o->op, CKPT_E_CONFLICT, 0, NULL, "read it empty",
			"%s: %d bytes of somebody else are in it", p->m->path, left);
	return r == 0 ? put_contents(p->o, p->first, p->m, p->both) : r;
}

/* The ends that wait for a writer, or those that do not: they have seen ours. */
static int open_ends(struct fifo *p, bool waiting)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r >= 0 && (rec = model_next(p->o->model, &res_pipe.type, &pos))) {
		const Ckpt__Pipe *m = (const void *)rec->msg;
		const Ckpt__File *f = model_get(p->o->model, &res_file.type, rec->owner);

		if ((rec->owner != p->first && m->same_inode_as != p->first) || !f ||
			m->waiting != waiting)
			continue;
		r = open_again(p->o, p->at, f->flags);
		if (r >= 0 && rec->owner == p->first)
			p->found = r;
		else if (r >= 0)
			r = p->o->also(p->o, rec->owner, r);
	}
	return r;
}

static bool all_wait(const struct fifo *p)
{
	const struct model_rec *rec;
	bool all = !p->m->contents_bytes;
	size_t pos = 0;

	while (all && (rec = model_next(p->o->model, &res_pipe.type, &pos))) {
		const Ckpt__Pipe *m = (const void *)rec->msg;

		if (rec->owner == p->first || m->same_inode_as == p->first)
			all = m->waiting;
	}
	return all;
}

/*
 * All ends of it at once: a reader that waits for the first writer would take ours for it, so such
 * are opened when ours is gone.
 */
static int open_fifo(struct open_ctx *o, uint64_t id, const Ckpt__Pipe *m)
{
	struct fifo p = {
		.o = o, .first = id, .m = m, .at = -EBADF, .both = -EBADF, .found = -EBADF};
	bool fresh = all_wait(&p);
	int r = find_fifo(&p);

	if (r == 0 && !fresh)
		r = fill_fifo(&p);
	if (r == 0)
		r = open_ends(&p, false);
	p.both = fd_close(p.both);
	if (r >= 0)
		r = open_ends(&p, true);
	if (r >= 0 && fresh)
		r = set_inode(o, m, p.found);
	fd_close(p.at);
	if (r < 0 || p.found < 0)
		fd_close(p.found);
	return r < 0 ? r : p.found;
}

int pipe_open(struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	const Ckpt__Pipe *m = (const void *)rec->msg, *first = m;
	const Ckpt__File *f = file_record;
	char what[64];
	int fd;

	if (m->same_inode_as)
		first = model_get(o->model, &res_pipe.type, m->same_inode_as);
	if (!f || !first || first->same_inode_as)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: a pipe without its first end", (unsigned long long)id);
	if (first->outside && !m->path[0]) {
		snprintf(what, sizeof(what), "pipe:[%llu]", (unsigned long long)m->ino);
		return outside_connect(o, id, what, f->flags, false);
	}
	if (first == m)
		return m->path[0] ? open_fifo(o, id, m) : make_pipe(o, id, m, f->flags);
	fd = plan_fd(o->plan, m->same_inode_as);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: its pipe's first end comes after it", (unsigned long long)id);
	return open_again(o, fd, f->flags);
}
