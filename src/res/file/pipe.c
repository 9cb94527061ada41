/*
 * pipe.c - pipes, and named pipes.
 *
 * A pipe is one inode with any number of descriptions: the two that pipe2 made, and others that were
 * opened through /proc/PID/fd/N. The first description of an inode carries what they share: size,
 * contents, whether the other end is outside.
 *
 * Contents are looked at with tee, which consumes nothing, into a pipe of our own of the same size.
 * The kernel keeps them as a list of buffers of at most a page; a pipe is full when the list is,
 * however little is in it, and a packet (O_DIRECT) is a buffer that is read alone. So the buffers'
 * lengths are kept where they are not those of one plain write. They are told apart by splicing
 * through a pipe that has room for one buffer.
 *
 * Opening /proc/self/fd/N of a pipe never waits for the other end, but sets O_LARGEFILE, which the
 * descriptions that pipe2 makes do not have: these two are made by pipe2 again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/pidfd.h"
#include "proto/fdtable.pb-c.h"
#include "proto/pipe.pb-c.h"
#include "res/file/files.h"
#include "res/file/seen.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define BUFFER_MAX  4096U
#define SMALL_BYTES (64UL * 1024) /* contents of at most so many bytes are in the record itself */
#define SETTABLE    (O_NONBLOCK | O_DIRECT | O_APPEND | O_NOATIME)
#define NO_WAIT     (SPLICE_F_NONBLOCK)
#define EVERYTHING  (1UL << 30)

static bool match(const struct file_look *l)
{
	return S_ISFIFO(l->st.st_mode) && (l->link[0] != '/' || !(l->flags & O_PATH));
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Pipe *m = msg_new(Ckpt__Pipe, CKPT__PIPE__INIT);

	if (!m)
		return collect_oom(c);
	m->ino = l->st.st_ino;
	m->path = strdup(l->link[0] == '/' ? l->link : "");
	m->deleted = l->deleted;
	m->mode = l->st.st_mode;
	m->uid = l->st.st_uid;
	m->gid = l->st.st_gid;
	m->same_inode_as = l->first_id;
	return collect_add_take(c, &res_pipe.type, id, m);
}

/* ---- dump: what all ends of a pipe share ---- */

/* What is known of an inode by its descriptions: at the id of the first. */
struct ends {
	uint32_t reads, writes; /* ids of some description that does; 0: none */
	bool packets;           /* a writer has O_DIRECT */
};

/* Whether some process holds the end that none of ours is. */
static bool other_end_open(int fd, bool we_read)
{
	struct pollfd p = {.fd = fd, .events = we_read ? POLLIN : POLLOUT};

	return poll(&p, 1, 0) >= 0 && !(p.revents & (we_read ? POLLHUP : POLLERR));
}

struct own_pipe {
	int r, w;
};

static void own_close(struct own_pipe *p)
{
	fd_close(p->r);
	fd_close(p->w);
}
#define _cleanup_own_ _cleanup_(own_close)
#define OWN_NONE                                                                                   \
	{                                                                                          \
		-EBADF, -EBADF                                                                     \
	}

static int own_open(struct own_pipe *p, unsigned size_bytes)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*p = (struct own_pipe){fds[0], fds[1]};
	return fcntl(p->w, F_SETPIPE_SZ, size_bytes) < 0 ? -errno : 0;
}

static int add_buffer(Ckpt__Pipe *m, size_t *cap, uint32_t bytes)
{
	Ckpt__PipeBuffer *b = msg_new(Ckpt__PipeBuffer, CKPT__PIPE_BUFFER__INIT);

	if (!b || vec_reserve(&m->buffers, cap, m->n_buffers + 1, sizeof(*m->buffers)) < 0) {
		free(b);
		return -ENOMEM;
	}
	b->bytes = bytes;
	m->buffers[m->n_buffers++] = b;
	return 0;
}

/* The lengths of the buffers, and the bytes in them. */
static int read_buffers(Ckpt__Pipe *m, int fd, uint8_t *out, size_t len)
{
	_cleanup_own_ struct own_pipe copy = OWN_NONE, one = OWN_NONE;
	size_t at = 0, cap = 0;
	int r = own_open(&copy, m->size_bytes);

	if (r == 0)
		r = own_open(&one, BUFFER_MAX);
	if (r == 0 && tee(fd, copy.w, EVERYTHING, NO_WAIT) < 0)
		r = errno == EAGAIN ? 0 : -errno;
	while (r == 0 && at < len) {
		ssize_t n = splice(copy.r, NULL, one.w, NULL, EVERYTHING, NO_WAIT);

		if (n <= 0)
			return n < 0 && errno != EAGAIN ? -errno : -EIO;
		for (ssize_t got = 0, k; got < n && (size_t)n <= len - at; got += k) {
			k = read(one.r, out + at + got, n - got);
			if (k <= 0)
				return -EIO;
		}
		r = (size_t)n <= len - at ? add_buffer(m, &cap, n) : -EIO;
		at += n;
	}
	return r;
}

/* A read ends behind a packet, so where a long read ends early there was one. */
static int find_packets(Ckpt__Pipe *m, int fd, size_t len, bool last)
{
	_cleanup_own_ struct own_pipe copy = OWN_NONE;
	_cleanup_free_ uint8_t *scratch = malloc(len);
	size_t at = 0, end = 0, i = 0;
	int r = own_open(&copy, m->size_bytes);

	if (r < 0 || !scratch)
		return r < 0 ? r : -ENOMEM;
	if (tee(fd, copy.w, EVERYTHING, NO_WAIT) < 0)
		return -errno;
	while (at < len) {
		ssize_t n = read(copy.r, scratch, len);

		if (n <= 0)
			return -EIO;
		at += n;
		while (i < m->n_buffers && end < at)
			end += m->buffers[i++]->bytes;
		if (i && end == at && (at < len || last))
			m->buffers[i - 1]->packet = true;
	}
	return 0;
}

/* One plain write of all bytes makes the same buffers. */
static bool buffers_plain(const Ckpt__Pipe *m)
{
	for (size_t i = 0; i < m->n_buffers; i++)
		if (m->buffers[i]->packet ||
			(i + 1 < m->n_buffers && m->buffers[i]->bytes != BUFFER_MAX))
			return false;
	return true;
}

static void drop_buffers(Ckpt__Pipe *m)
{
	for (size_t i = 0; i < m->n_buffers; i++)
		free(m->buffers[i]);
	free(m->buffers);
	m->buffers = NULL;
	m->n_buffers = 0;
}

/* Into the record, or into the page files. @buf is taken when it is in the record. */
static int keep_contents(struct collect *c, uint64_t id, Ckpt__Pipe *m, uint8_t **buf, size_t len)
{
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.end = len,
		.keep_zero = true,
		.resident_bytes = len};
	int r;

	m->contents_bytes = len;
	if (len <= SMALL_BYTES) {
		m->contents = (ProtobufCBinaryData){.len = len, .data = TAKE_PTR(*buf)};
		return 0;
	}
	w.fd = memfd_create("pipe", MFD_CLOEXEC);
	r = w.fd < 0 ? -errno : write_full(w.fd, *buf, len);
	if (r == 0)
		return collect_want_take(c, &w);
	fd_close(w.fd);
	return op_fail(c->op, CKPT_E_SPACE, -r, "write", NULL, "the contents of a pipe");
}

static int save_contents(struct collect *c, uint64_t id, Ckpt__Pipe *m, int fd, bool packets)
{
	_cleanup_free_ uint8_t *buf = NULL;
	int len = 0, r = 0;

	if (ioctl(fd, FIONREAD, &len) < 0)
		r = -errno;
	if (r < 0 || len <= 0)
		return r;
	buf = malloc(len);
	if (!buf)
		return collect_oom(c);
	r = read_buffers(m, fd, buf, len);
	if (r == 0)
		r = find_packets(m, fd, len, packets);
	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "tee", NULL,
			"pid %d (%s): the %d bytes in pipe %llu", c->pid, c->tr->comm, len,
			(unsigned long long)m->ino);
	if (buffers_plain(m))
		drop_buffers(m);
	return keep_contents(c, id, m, &buf, len);
}

static int finish_pipe(struct collect *c, uint64_t id, Ckpt__Pipe *m, const struct ends *e)
{
	uint32_t any = e->reads ? e->reads : e->writes;
	_cleanup_close_ int fd = -EBADF;
	int size, waiting = 0;

	if (!any) /* only open with O_PATH */
		return 0;
	fd = pidfd_take(c->pidfd, c->files[any - 1].target_fd);
	size = fd < 0 ? fd : fcntl(fd, F_GETPIPE_SZ);
	if (size < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, fd < 0 ? -fd : errno, "fcntl(F_GETPIPE_SZ)",
			NULL, "pid %d (%s): fd %d", c->pid, c->tr->comm,
			c->files[any - 1].target_fd);
	m->size_bytes = size;
	m->outside = !(e->reads && e->writes) && other_end_open(fd, e->reads);
	if (!e->reads)
		return 0;
	if (!m->outside)
		return save_contents(c, id, m, fd, e->packets);
	if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting)
		op_warn(c->op,
			"pid %d (%s): fd %d: %d bytes that came from outside are unread, and "
			"are not saved",
			c->pid, c->tr->comm, c->files[any - 1].target_fd, waiting);
	return 0;
}

/* The flag that open(2) sets by itself on 64-bit kernels; its value differs between ISAs. */
static uint32_t flag_of_open(void)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 0 : (uint32_t)fcntl(fd, F_GETFL);
}

/* Which description is what of its pipe. */
static void note_end(
	struct collect *c, const struct model_rec *rec, struct ends *ends, uint32_t by_open)
{
	const Ckpt__Pipe *m = (const void *)rec->msg;
	const Ckpt__File *f = model_get(c->model, &res_file.type, rec->owner);
	uint32_t head = m->same_inode_as ? m->same_inode_as : (uint32_t)rec->owner;
	Ckpt__Pipe *first = model_get(c->model, &res_pipe.type, head);
	bool of_pipe2;

	if (!f || !first || f->flags & O_PATH)
		return;
	of_pipe2 = !m->path[0] && !(f->flags & by_open);
	if ((f->flags & O_ACCMODE) != O_WRONLY)
		ends[head].reads = rec->owner;
	if ((f->flags & O_ACCMODE) != O_RDONLY)
		ends[head].writes = rec->owner;
	if ((f->flags & O_ACCMODE) != O_RDONLY && f->flags & O_DIRECT)
		ends[head].packets = true;
	if (of_pipe2 && (f->flags & O_ACCMODE) == O_RDONLY)
		first->read_half = rec->owner;
	if (of_pipe2 && (f->flags & O_ACCMODE) == O_WRONLY)
		first->write_half = rec->owner;
}

static int finish(struct collect *c)
{
	_cleanup_free_ struct ends *ends = calloc(c->n_files + 1, sizeof(*ends));
	const struct model_rec *rec;
	uint32_t by_open;
	size_t pos = 0;
	int r = 0;

	if (!model_next(c->model, &res_pipe.type, &pos))
		return 0;
	if (!ends)
		return collect_oom(c);
	by_open = flag_of_open();
	pos = 0;
	while ((rec = model_next(c->model, &res_pipe.type, &pos)))
		note_end(c, rec, ends, by_open);
	pos = 0;
	while (r == 0 && (rec = model_next(c->model, &res_pipe.type, &pos))) {
		Ckpt__Pipe *m = (void *)rec->msg;

		if (!m->same_inode_as)
			r = finish_pipe(c, rec->owner, m, &ends[rec->owner]);
	}
	return r;
}

/* ---- restore ---- */

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
	int r = own_open(&helper, BUFFER_MAX);

	for (size_t i = 0; r == 0 && i < m->n_buffers; i++) {
		uint32_t n = m->buffers[i]->bytes;

		if (n > left)
			return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
				"a pipe has more buffers than bytes");
		if (m->buffers[i]->packet)
			r = put_packet(w, p, n);
		else if (n < BUFFER_MAX && i + 1 < m->n_buffers)
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
	if (len > m->size_bytes || (len <= SMALL_BYTES && m->contents.len != len))
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"a pipe of %u bytes with %llu in it", m->size_bytes,
			(unsigned long long)len);
	if (len > SMALL_BYTES) {
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

/* By its name; one that has none any more is made for a moment. */
static int open_fifo(struct open_ctx *o, uint64_t id, const Ckpt__Pipe *m, uint32_t flags)
{
	_cleanup_free_ char *other = NULL;
	_cleanup_close_ int fd = -EBADF;
	const char *path = m->path;
	struct stat st;
	int r = 0, left = 0;

	if (m->deleted && mkfifo(path, 0600) < 0) {
		if (errno != EEXIST ||
			asprintf(&other, "%s.ckpt-%d-%llu", path, getpid(),
				(unsigned long long)id) < 0 ||
			mkfifo(path = other, 0600) < 0)
			return op_fail(o->op, CKPT_E_CONFLICT, errno, "mkfifo", NULL,
				"making deleted named pipe %s again", path);
	}
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	if (m->deleted)
		unlink(path);
	if (r < 0 || fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return op_fail(o->op, CKPT_E_CONFLICT, -r, "open",
			r == -ENOENT ? "put the named pipe back where it was" : NULL, "%s%s", path,
			r < 0 ? "" : ": it is no named pipe any more");
	r = set_inode(o, m, fd);
	if (r == 0 && ioctl(fd, FIONREAD, &left) == 0 && left && m->contents_bytes)
		r = op_fail(o->op, CKPT_E_CONFLICT, 0, NULL, "read it empty",
			"%s: %d bytes of somebody else are in it", path, left);
	if (r == 0)
		r = put_contents(o, id, m, fd);
	return r < 0 ? r : open_again(o, fd, flags);
}

static int open_pipe(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
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
		return outside_connect(o, id, what, f->flags);
	}
	if (first == m)
		return m->path[0] ? open_fifo(o, id, m, f->flags) : make_pipe(o, id, m, f->flags);
	fd = plan_fd(o->plan, m->same_inode_as);
	if (fd < 0)
		return op_fail(o->op, CKPT_E_IMAGE, 0, NULL, "see ckpt verify",
			"file %llu: its pipe's first end comes after it", (unsigned long long)id);
	return open_again(o, fd, f->flags);
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .finish = finish, .open = open_pipe};
static const char *const volatile_fields[] = {"ino", NULL};

const struct res res_pipe = {
	.type = {"pipe", SCOPE_FILE, &ckpt__pipe__descriptor, volatile_fields},
	.file = &ops,
};
