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
 */
#include "res/file/pipe.h"

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
#include "res/file/seen.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define EVERYTHING (1UL << 30)

static bool poll_says(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) >= 0 && p.revents & events;
}

static bool match(const struct file_look *l)
{
	return S_ISFIFO(l->st.st_mode) && (l->link[0] != '/' || !(l->flags & O_PATH));
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Pipe *m = msg_new(Ckpt__Pipe, CKPT__PIPE__INIT);

	if (m)
		m->path = strdup(l->link[0] == '/' ? l->link : "");
	if (!m || !m->path) {
		free(m);
		return collect_oom(c);
	}
	m->ino = l->st.st_ino;
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
	bool hung_up;           /* a reader is told that no writer is left */
};

/* Of an empty pipe: whether anybody may write. tee(2) waits, or would, only then. */
static bool has_writer(int fd)
{
	_cleanup_own_ struct own_pipe p = OWN_NONE;

	return own_open(&p, PIPE_BUFFER_MAX) < 0 || tee(fd, p.w, 1, NO_WAIT) != 0;
}

/*
 * Whether some process holds the end that none of ours is. A reader of a named pipe is not told of a
 * hang-up before it has seen a writer.
 */
static bool other_end_open(const Ckpt__Pipe *m, const struct ends *e, int fd)
{
	if (!e->reads)
		return !poll_says(fd, POLLERR);
	if (!m->path[0])
		return !poll_says(fd, POLLHUP);
	return !e->hung_up && has_writer(fd);
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
		r = own_open(&one, PIPE_BUFFER_MAX);
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
static int find_packets(Ckpt__Pipe *m, int fd, uint8_t *scratch, size_t len, bool last)
{
	_cleanup_own_ struct own_pipe copy = OWN_NONE;
	size_t at = 0, end = 0, i = 0;
	int r = own_open(&copy, m->size_bytes);

	if (r < 0)
		return r;
	if (tee(fd, copy.w, EVERYTHING, NO_WAIT) < 0)
		return -errno;
	while (at < len) {
		ssize_t n = read(copy.r, scratch + at, len - at);

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
			(i + 1 < m->n_buffers && m->buffers[i]->bytes != PIPE_BUFFER_MAX))
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
	if (len <= PIPE_SMALL_BYTES) {
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
		r = find_packets(m, fd, buf, len, packets); /* the same bytes once more */
	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "tee", NULL,
			"pid %d (%s): the %d bytes in pipe %llu", c->pid, c->tr->comm, len,
			(unsigned long long)m->ino);
	if (buffers_plain(m))
		drop_buffers(m);
	return keep_contents(c, id, m, &buf, len);
}

static int finish_pipe(struct collect_tree *t, uint64_t id, Ckpt__Pipe *m, const struct ends *e)
{
	uint32_t any = e->reads ? e->reads : e->writes;
	_cleanup_close_ int fd = -EBADF;
	int size, target_fd, waiting = 0;
	struct collect *c;

	if (!any) /* only open with O_PATH */
		return 0;
	c = t->files[any - 1].of;
	target_fd = t->files[any - 1].target_fd;
	fd = pidfd_take(c->pidfd, target_fd);
	size = fd < 0 ? fd : fcntl(fd, F_GETPIPE_SZ);
	if (size < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, fd < 0 ? -fd : errno, "fcntl(F_GETPIPE_SZ)",
			NULL, "pid %d (%s): fd %d", c->pid, c->tr->comm, target_fd);
	m->size_bytes = size;
	m->outside = !(e->reads && e->writes) && other_end_open(m, e, fd);
	if (!e->reads)
		return 0;
	if (!m->outside)
		return save_contents(c, id, m, fd, e->packets);
	if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting)
		op_warn(c->op,
			"pid %d (%s): fd %d: %d bytes that came from outside are unread, and "
			"are not saved",
			c->pid, c->tr->comm, target_fd, waiting);
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
	struct collect_tree *c, const struct model_rec *rec, struct ends *ends, uint32_t by_open)
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

/* Which readers of named pipes without a writer have been told that there is none any more. */
static void note_waiting(struct collect_tree *t, const struct model_rec *rec, struct ends *ends)
{
	Ckpt__Pipe *m = (void *)rec->msg;
	const Ckpt__File *f = model_get(t->model, &res_file.type, rec->owner);
	uint32_t head = m->same_inode_as ? m->same_inode_as : (uint32_t)rec->owner;
	const struct collect_file *at = &t->files[rec->owner - 1];
	_cleanup_close_ int fd = -EBADF;

	if (!m->path[0] || !f || f->flags & O_PATH || ends[head].writes)
		return;
	fd = pidfd_take(at->of->pidfd, at->target_fd);
	if (fd < 0)
		return;
	m->waiting = !poll_says(fd, POLLHUP);
	ends[head].hung_up |= !m->waiting;
}

static int finish(struct collect_tree *c)
{
	_cleanup_free_ struct ends *ends = NULL;
	const struct model_rec *rec;
	uint32_t by_open;
	size_t pos = 0;
	int r = 0;

	if (!model_next(c->model, &res_pipe.type, &pos))
		return 0;
	ends = calloc(c->n_files + 1, sizeof(*ends));
	if (!ends)
		return op_fail(c->op, CKPT_E_SPACE, ENOMEM, NULL, NULL, "%zu pipes", c->n_files);
	by_open = flag_of_open();
	pos = 0;
	while ((rec = model_next(c->model, &res_pipe.type, &pos)))
		note_end(c, rec, ends, by_open);
	pos = 0;
	while ((rec = model_next(c->model, &res_pipe.type, &pos)))
		note_waiting(c, rec, ends);
	pos = 0;
	while (r == 0 && (rec = model_next(c->model, &res_pipe.type, &pos))) {
		Ckpt__Pipe *m = (void *)rec->msg;

		if (!m->same_inode_as)
			r = finish_pipe(c, rec->owner, m, &ends[rec->owner]);
	}
	return r;
}

static const struct file_ops ops = {
	.match = match, .collect = collect, .finish = finish, .open = pipe_open};
static const char *const volatile_fields[] = {"ino", NULL};

const struct res res_pipe = {
	.type = {"pipe", SCOPE_FILE, &ckpt__pipe__descriptor, volatile_fields},
	.file = &ops,
};
