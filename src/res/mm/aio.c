/*
 * aio.c - contexts of io_setup(2).
 *
 * A context is known by the address of its ring, a mapping that io_setup makes where it likes; the
 * kernel follows when mremap moves it (Linux >= 3.10). Where it will like to is found by mapping as
 * much and unmapping it again. The kernel's own place in the ring goes on with each completion, so as
 * many reads of nothing are made as it takes, and the events that nobody has read are written over theirs.
 *
 * What is under way can't be seen. It is waited for as long as events keep coming, and until the disks that
 * the process uses directly have done all that they were asked for (/sys/dev/block/N:M/inflight). What takes
 * longer, as a poll for something that does not happen, is lost, of which the user is warned. Buffered reads and
 * writes never are under way, they are done when io_submit returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <linux/aio_abi.h>

#include "kernel/fdinfo.h"
#include "proto/aio.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define RING_MAGIC 0xa10a10a1U
#define EVENT      sizeof(struct io_event)
#define BATCH      16U
#define CALM_NS    5000000L /* no event came for so long */
#define TRIES      100

#define DISK_DOZE_NS 1000000L
#define DISK_TRIES   1000

#define BUSY_ADVICE "dump it when it is less busy"

struct ring_head {
	uint32_t id, nr, head, tail, magic, compat, incompat, header_bytes;
};

bool aio_is_ring(const struct vma *v)
{
	return v->path && str_startswith(v->path, "/[aio]");
}

/* ---- dump ---- */

static bool is_ring(const struct ring_head *h, uint64_t size)
{
	return h->magic == RING_MAGIC && h->header_bytes == sizeof(*h) && h->nr &&
	       h->head < h->nr && h->tail < h->nr && h->nr <= (size - sizeof(*h)) / EVENT;
}

struct rings {
	const struct vma **at;
	struct ring_head *heads;
	size_t n;
};

/* Return: how many have changed; -errno */
static int read_heads(struct collect *c, struct rings *s)
{
	int changed = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct ring_head now;
		int r = tracees_read(c->tr, s->at[i]->start, &now, sizeof(now));

		if (r < 0)
			return r;
		if (!is_ring(&now, s->at[i]->end - s->at[i]->start))
			return -EBADMSG;
		changed += now.tail != s->heads[i].tail;
		s->heads[i] = now;
	}
	return changed;
}

/* The disk of an open file of the process that is read and written directly; 0: it is none. */
static dev_t disk_of(struct collect *c, int fd)
{
	struct fdinfo info;
	struct stat st;
	char at[32];

	snprintf(at, sizeof(at), "fd/%d", fd);
	if (fdinfo_read(c->proc_fd, fd, &info, NULL, NULL) < 0 || !(info.flags & O_DIRECT) ||
		fstatat(c->proc_fd, at, &st, 0) < 0)
		return 0;
	return S_ISBLK(st.st_mode) ? st.st_rdev : S_ISREG(st.st_mode) ? st.st_dev : 0;
}

struct disk_load {
	uint64_t under_way, done; /* requests: now; since it is there */
};

/* Return: whether it is a disk that tells */
static bool read_load(dev_t disk, struct disk_load *ret)
{
	_cleanup_free_ char *inflight = NULL, *stat = NULL;
	unsigned long long reads, writes, read, written;
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(disk), minor(disk));
	if (file_read_at(AT_FDCWD, path, &stat, &len) < 0 ||
		sscanf(stat, "%llu %*u %*u %*u %llu", &read, &written) != 2)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/inflight", major(disk), minor(disk));
	if (file_read_at(AT_FDCWD, path, &inflight, &len) < 0 ||
		sscanf(inflight, "%llu %llu", &reads, &writes) != 2)
		return false;
	*ret = (struct disk_load){reads + writes, read + written};
	return true;
}

/* One that others keep busy is done with ours when it has done twice as many as were under way. */
static bool wait_for_disk(dev_t disk)
{
	const struct timespec doze = {.tv_nsec = DISK_DOZE_NS};
	struct disk_load first, now;

	if (!disk || !read_load(disk, &first))
		return true;
	now = first;
	for (int i = 0; i < DISK_TRIES; i++) {
		if (!now.under_way || now.done - first.done > 2 * first.under_way)
			return true;
		nanosleep(&doze, NULL);
		if (!read_load(disk, &now))
			return true;
	}
	return false;
}

static int wait_for_disks(struct collect *c)
{
	_cleanup_free_ int *fds = NULL;
	dev_t done = 0;
	size_t n = 0;

	if (fdinfo_list(c->proc_fd, &fds, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		dev_t disk = disk_of(c, fds[i]);

		if (disk != done && !wait_for_disk(disk))
			return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, BUSY_ADVICE,
				"pid %d (%s): fd %d: asynchronous input and output (io_submit) may "
				"be under way on disk %u:%u, which is not done with it",
				c->pid, c->tr->comm, fds[i], major(disk), minor(disk));
		done = disk ? disk : done;
	}
	return 0;
}

/* Until nothing is added to any ring any more. */
static int read_calm(struct collect *c, struct rings *s)
{
	const struct timespec calm = {.tv_nsec = CALM_NS};
	int r = wait_for_disks(c);

	if (r < 0)
		return r;
	r = read_heads(c, s);
	for (int i = 0; r >= 0 && i < TRIES; i++) {
		nanosleep(&calm, NULL);
		r = read_heads(c, s);
		if (r == 0)
			return 0;
	}
	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL,
			"pid %d (%s): a ring of io_setup", c->pid, c->tr->comm);
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, BUSY_ADVICE,
		"pid %d (%s): asynchronous input and output (io_submit) does not come to an end",
		c->pid, c->tr->comm);
}

static int read_events(struct collect *c, const struct vma *v, Ckpt__AioContext *m)
{
	uint32_t n = (m->tail + m->slots - m->head) % m->slots;
	uint32_t upto = MIN(n, m->slots - m->head);
	uint64_t first = v->start + sizeof(struct ring_head);
	int r;

	if (!n)
		return 0;
	m->events.data = malloc(n * EVENT);
	if (!m->events.data)
		return -ENOMEM;
	m->events.len = n * EVENT;
	r = tracees_read(c->tr, first + m->head * EVENT, m->events.data, upto * EVENT);
	if (r == 0 && upto < n)
		r = tracees_read(c->tr, first, m->events.data + upto * EVENT, (n - upto) * EVENT);
	return r;
}

static int add_context(
	struct collect *c, const struct vma *v, const struct ring_head *head, Ckpt__Aio *aio)
{
	Ckpt__AioContext *m = msg_new(Ckpt__AioContext, CKPT__AIO_CONTEXT__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	aio->contexts[aio->n_contexts++] = m;
	m->start = v->start;
	m->size_bytes = v->end - v->start;
	m->slots = head->nr;
	m->head = head->head;
	m->tail = head->tail;
	r = read_events(c, v, m);
	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL,
			"pid %d (%s): the ring of io_setup at %llx", c->pid, c->tr->comm,
			(unsigned long long)v->start);
	return 0;
}

static int collect_rings(struct collect *c, struct rings *s)
{
	Ckpt__Aio *m;
	int r = read_calm(c, s);

	if (r < 0)
		return r;
	m = msg_new(Ckpt__Aio, CKPT__AIO__INIT);
	if (!m || !(m->contexts = calloc(s->n, sizeof(*m->contexts)))) {
		free(m);
		return collect_oom(c);
	}
	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = add_context(c, s->at[i], &s->heads[i], m);
	if (r == 0)
		return collect_add_take(c, &res_aio.type, c->pid, m);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	return r;
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	struct rings s = {0};
	int r = 0;

	for (size_t i = 0; i < c->maps.n; i++)
		s.n += aio_is_ring(&c->maps.v[i]);
	if (!s.n)
		return 0;
	s.at = calloc(s.n, sizeof(*s.at));
	s.heads = calloc(s.n, sizeof(*s.heads));
	if (s.at && s.heads) {
		s.n = 0;
		for (size_t i = 0; i < c->maps.n; i++)
			if (aio_is_ring(&c->maps.v[i]))
				s.at[s.n++] = &c->maps.v[i];
		r = collect_rings(c, &s);
	} else {
		r = collect_oom(c);
	}
	free(s.at);
	free(s.heads);
	return r;
}

/* ---- restore ---- */

/* What to ask io_setup for, to get a ring of this size: it doubles that, and adds 2. */
static uint64_t requests(const Ckpt__AioContext *m)
{
	return ((m->size_bytes - sizeof(struct ring_head)) / EVENT - 2) / 2;
}

static bool is_sane(const Ckpt__AioContext *m)
{
	uint64_t n = m->slots ? (m->tail + (uint64_t)m->slots - m->head) % m->slots : 0;

	return m->size_bytes >= MM_PAGE && m->size_bytes % MM_PAGE == 0 &&
	       m->start % MM_PAGE == 0 && m->size_bytes < 1UL << 30 && m->head < m->slots &&
	       m->tail < m->slots &&
	       m->slots == (m->size_bytes - sizeof(struct ring_head)) / EVENT &&
	       m->events.len == n * EVENT;
}

static void plan_context(const Ckpt__AioContext *m, struct prog *prog)
{
	uint64_t id = prog_data(prog, NULL, sizeof(aio_context_t));
	size_t hole;

	PROG_CALL_EQ(prog, "aio: keep its place", m->start, SYS_mmap, IMM(m->start),
		IMM(m->size_bytes), IMM(PROT_NONE),
		IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), IMM(-1), IMM(0));
	hole = PROG_CALL(prog, "aio: find where it will be", SYS_mmap, IMM(0), IMM(m->size_bytes),
		IMM(PROT_NONE), IMM(MAP_PRIVATE | MAP_ANONYMOUS), IMM(-1), IMM(0));
	PROG_CALL(prog, "aio: find where it will be", SYS_munmap, RES(hole), IMM(m->size_bytes));
	PROG_CALL(prog, "aio: make a context", SYS_io_setup, IMM(requests(m)), DATA(id));
	PROG_CALL_EQ(prog, "aio: move it to its place", m->start, SYS_mremap, RES(hole),
		IMM(m->size_bytes), IMM(m->size_bytes), IMM(MREMAP_MAYMOVE | MREMAP_FIXED),
		IMM(m->start));
	prog_object(prog, "%llx", (unsigned long long)m->start);
}

/* The number that a new descriptor will have. */
static int free_number(const struct plan *p, uint64_t pid)
{
	const Ckpt__FdTable *t = model_get(p->model, &res_fdtable.type, pid);
	int n = 0;

	for (size_t i = 0; t && i < t->n_fds; i++) {
		const struct plan_override *o = plan_override(p, (pid_t)pid, t->fds[i]);

		if (o && o->how == OVERRIDE_CLOSE)
			continue;
		if ((int)t->fds[i]->fd != n)
			break;
		n++;
	}
	return n;
}

struct nothing {
	uint64_t list, room; /* in data: pointers to the same read; what came of them */
	struct prog *prog;
};

static struct nothing reads_of_nothing(struct prog *prog, int fd)
{
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd};
	uint64_t at = prog_data(prog, &cb, sizeof(cb));
	struct nothing n = {.prog = prog};

	n.list = prog_data(prog, NULL, BATCH * sizeof(uint64_t));
	n.room = prog_data(prog, NULL, BATCH * EVENT);
	for (size_t i = 0; i < BATCH; i++)
		prog_pointer(prog, n.list + i * sizeof(uint64_t), at);
	return n;
}

static void plan_reads(
	const struct nothing *n, const Ckpt__AioContext *m, uint64_t count, bool taken)
{
	for (uint64_t done = 0, k; done < count; done += k) {
		k = MIN(count - done, BATCH);
		PROG_CALL_EQ(n->prog, "aio: read nothing", k, SYS_io_submit, IMM(m->start), IMM(k),
			DATA(n->list));
		if (taken)
			PROG_CALL_EQ(n->prog, "aio: read nothing", k, SYS_io_getevents,
				IMM(m->start), IMM(k), IMM(k), DATA(n->room), IMM(0));
	}
}

static void plan_events(const Ckpt__AioContext *m, int fd, struct prog *prog)
{
	uint64_t n = m->events.len / EVENT, upto = MIN(n, (uint64_t)m->slots - m->head);
	uint64_t first = m->start + sizeof(struct ring_head);

	if (!n)
		return;
	PROG_CALL_EQ(prog, "aio: unread events", m->events.len, SYS_pwrite64, IMM(fd),
		DATA(prog_data(prog, m->events.data, m->events.len)), IMM(m->events.len), IMM(0));
	PROG_CALL_EQ(prog, "aio: unread events", upto * EVENT, SYS_pread64, IMM(fd),
		IMM(first + m->head * EVENT), IMM(upto * EVENT), IMM(0));
	if (upto < n)
		PROG_CALL_EQ(prog, "aio: unread events", (n - upto) * EVENT, SYS_pread64, IMM(fd),
			IMM(first), IMM((n - upto) * EVENT), IMM(upto * EVENT));
}

static void plan_places(struct plan *p, uint64_t pid, const Ckpt__Aio *aio, struct prog *prog)
{
	static const char name[] = "aio";
	int fd = free_number(p, pid);
	struct nothing n;

	PROG_CALL_EQ(prog, "aio: something to read", fd, SYS_memfd_create,
		DATA(prog_data(prog, name, sizeof(name))), IMM(MFD_CLOEXEC));
	n = reads_of_nothing(prog, fd);
	for (size_t i = 0; i < aio->n_contexts; i++) {
		const Ckpt__AioContext *m = aio->contexts[i];

		if (!is_sane(m))
			continue;
		plan_reads(&n, m, m->head, true);
		plan_reads(&n, m, m->events.len / EVENT, false);
		plan_events(m, fd, prog);
	}
	PROG_CALL(prog, "aio: something to read", SYS_close, IMM(fd));
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Aio *aio = (const void *)rec->msg;

	for (size_t i = 0; phase == PLAN_EARLY && i < aio->n_contexts; i++)
		if (is_sane(aio->contexts[i]))
			plan_context(aio->contexts[i], prog);
	if (phase == PLAN_PROCESS && aio->n_contexts)
		plan_places(p, rec->owner, aio, prog);
}

const struct res res_aio = {
	.type = {"aio", SCOPE_TASK, &ckpt__aio__descriptor, NULL},
	.shared = SHARED_VM,
	.collect = collect,
	.plan = plan,
};
