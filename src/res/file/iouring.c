/*
 * iouring.c - rings of io_uring_setup(2).
 *
 * A ring has an inode of its own, so that its mappings are known by it. They can't be put where they were
 * (a mapping of a ring at a chosen address fails), but a ring can be made in memory that is there already
 * (IORING_SETUP_NO_MMAP, Linux >= 6.5). So the memory is saved as shared anonymous memory, which it is from
 * the first restore on; then it is found by what fdinfo tells of its contents.
 *
 * fdinfo tells the counters, what polls, and what is registered. A ring with nothing under way has got as
 * many completions as it took requests in; any other is refused, and so is one with a thread of its own.
 *
 * Whether an eventfd is registered, or buffers are provided, is told by trying to register what can't be:
 * EBUSY or EEXIST comes before what is wrong with it (io_uring/eventfd.c, kbuf.c). Which eventfd it is is not
 * told; if the process has one only, it is that. Of a ring that only one task may use (SINGLE_ISSUER) even this
 * can't be asked. What a restored ring is without: that only one task may submit, which only forbids, and
 * that task work is put off.
 */
#include "res/file/iouring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "kernel/fdinfo.h"
#include "kernel/kcmp.h"
#include "proto/fdtable.pb-c.h"
#include "proto/iouring.pb-c.h"
#include "proto/mm.pb-c.h"
#include "proto/shmem.pb-c.h"
#include "res/file/seen.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define LINK        "anon_inode:[io_uring]"
#define OFF_PBUF    0x80000000UL
#define SHARED_MODE (S_IFREG | 0777) /* of shared anonymous memory */

#define CLOSE_IT "let the program close it"

#define GROUPS_ASKED 256 /* of provided buffers: ids are small numbers, or taken as they come */

static bool match(const struct file_look *l)
{
	return strcmp(l->link, LINK) == 0;
}

bool iouring_is_vma(const struct vma *v)
{
	return v->path && str_eq(v->path, LINK);
}

uint64_t iouring_offset(const struct vma *v)
{
	return v->pgoff_bytes == IORING_OFF_SQES ? IOURING_RINGS_BYTES : 0;
}

/* ---- what fdinfo tells ---- */

struct registered {
	unsigned index;
	char name[256];
};

struct info {
	struct iouring_head head; /* of it the counters and masks */
	uint32_t taken, completed;
	bool thread, polls, overflows, persons;
	enum { NO_LIST, FILES, BUFFERS, POLLS, OVERFLOWS, PERSONS } list;
	Ckpt__IoUring *m;
	struct registered *files;
	size_t n_files, cap_files, cap_buffers;
};

static int add_file(struct info *s, unsigned index, const char *name)
{
	if (vec_reserve(&s->files, &s->cap_files, s->n_files + 1, sizeof(*s->files)) < 0)
		return -ENOMEM;
	s->files[s->n_files].index = index;
	snprintf(s->files[s->n_files].name, sizeof(s->files->name), "%s", name);
	str_unescape(s->files[s->n_files++].name, " \t\n\\");
	return 0;
}

static int add_buffer(struct info *s, const char *value)
{
	Ckpt__IoUringBuffer *b = msg_new(Ckpt__IoUringBuffer, CKPT__IO_URING_BUFFER__INIT);
	unsigned long long start = 0, len = 0;

	if (!b ||
		vec_reserve(&s->m->buffers, &s->cap_buffers, s->m->n_buffers + 1, sizeof(b)) < 0) {
		free(b);
		return -ENOMEM;
	}
	if (sscanf(value, "%llx/%llu", &start, &len) == 2) {
		b->start = start;
		b->size_bytes = len;
	}
	s->m->buffers[s->m->n_buffers++] = b;
	return 0;
}

/* An entry of a list has a number for a key; anything behind a heading of a list belongs to it. */
static int entry(struct info *s, const char *key, const char *value)
{
	s->polls |= s->list == POLLS;
	s->overflows |= s->list == OVERFLOWS;
	s->persons |= s->list == PERSONS;
	if (s->list == FILES && *key >= '0' && *key <= '9' && !str_eq(value, "<none>"))
		return add_file(s, (unsigned)strtoul(key, NULL, 10), value);
	return s->list == BUFFERS ? add_buffer(s, value) : 0;
}

static int line(char *key, char *value, void *arg)
{
	struct info *s = arg;
	const struct {
		const char *key;
		uint32_t *to;
		int base;
	} numbers[] = {{"SqMask", &s->head.sq_mask, 16}, {"SqHead", &s->head.sq_head, 10},
		{"SqTail", &s->head.sq_tail, 10}, {"CachedSqHead", &s->taken, 10},
		{"CqMask", &s->head.cq_mask, 16}, {"CqHead", &s->head.cq_head, 10},
		{"CqTail", &s->head.cq_tail, 10}, {"CachedCqTail", &s->completed, 10},
		{"UserFiles", &s->m->file_slots, 10}};
	static const char *const lists[] = {
		"", "UserFiles", "UserBufs", "PollList", "CqOverflowList", "Personalities"};
	const char *at = str_startswith(value, "0x");
	bool known = false;

	at = at ? at : value;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!str_eq(key, numbers[i].key))
			continue;
		known = true;
		if (str_u32(&at, numbers[i].base, numbers[i].to) < 0)
			return -EBADMSG;
	}
	for (unsigned i = FILES; i <= PERSONS; i++)
		if (str_eq(key, lists[i])) {
			s->list = i;
			return 0;
		}
	if (known || (*key >= 'A' && *key <= 'Z')) {
		s->list = NO_LIST;
		s->thread |= str_eq(key, "SqThread") && !str_eq(value, "-1");
		return 0;
	}
	return entry(s, key, value);
}

/* Why it can't be saved; NULL: it can */
static const char *wrong(const struct info *s, const char **ret_advice)
{
	*ret_advice = CLOSE_IT;
	if (s->thread)
		return "it has a thread of the kernel that submits (IORING_SETUP_SQPOLL)";
	if (s->persons)
		return "credentials are registered with it";
	if (s->head.sq_mask >= IOURING_ENTRIES_MAX || s->head.cq_mask >= 2 * IOURING_ENTRIES_MAX)
		return "it is larger than any that is known";
	*ret_advice = "dump it when it has none";
	if (s->polls || s->overflows || s->taken != s->completed)
		return "it has requests under way";
	*ret_advice = CLOSE_IT;
	return iouring_can_be_made()
		       ? NULL
		       : "this kernel can't make a ring in given memory, as a restore does";
}

static void info_done(struct info *s)
{
	free(s->files);
	if (s->m)
		protobuf_c_message_free_unpacked(&s->m->base, NULL);
}

static int read_info(int procfd, int fd, struct info *s)
{
	struct fdinfo common;

	s->m = msg_new(Ckpt__IoUring, CKPT__IO_URING__INIT);
	return s->m ? fdinfo_read(procfd, fd, &common, line, s) : -ENOMEM;
}

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	struct file_verdict v = {CKPT_SAVED, NULL, NULL};
	struct info s = {0};

	if (l->target_fd >= 0 && read_info(procfd, l->target_fd, &s) == 0)
		v.reason = wrong(&s, &v.advice);
	if (v.reason)
		v.verdict = CKPT_REFUSED;
	else
		v.advice = NULL;
	info_done(&s);
	return v;
}

/* ---- dump: the memory ---- */

static int copy_vma(struct collect *c, const struct vma *v, int fd)
{
	size_t len = v->end - v->start;
	_cleanup_free_ uint8_t *buf = malloc(len);
	int r = buf ? tracees_read(c->tr, v->start, buf, len) : -ENOMEM;

	return r < 0 ? r : pwrite_full(fd, buf, len, (off_t)iouring_offset(v));
}

/* Whether a mapping is as long as one of rings of the usual layout would be. */
static bool is_usual(const struct vma *v, const struct iouring_head *h)
{
	uint64_t len = v->end - v->start, list = iouring_list_at(h->cq_entries);

	if (!h->sq_entries || h->sq_entries > IOURING_ENTRIES_MAX ||
		h->cq_entries > 2 * IOURING_ENTRIES_MAX)
		return false;
	if (iouring_offset(v))
		return len == ALIGN_UP((uint64_t)h->sq_entries * IOURING_SQE_BYTES, MM_PAGE);
	return len == ALIGN_UP(list + h->sq_entries * sizeof(uint32_t), MM_PAGE) ||
	       len == ALIGN_UP(list, MM_PAGE);
}

/*
 * A list of requests into which a program has never written may be one that the ring does not use
 * (IORING_SETUP_NO_SQARRAY, 6.6): then the requests are taken in their order. One who does write into it
 * does so before each request.
 */
static int fill_list(int fd, const struct iouring_head *h)
{
	uint64_t at = iouring_list_at(h->cq_entries);
	size_t len = h->sq_entries * sizeof(uint32_t);
	_cleanup_free_ uint32_t *list = calloc(h->sq_entries, sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (pread(fd, list, len, (off_t)at) < 0)
		return -errno;
	for (uint32_t i = 0; i < h->sq_entries; i++)
		if (list[i])
			return 0;
	for (uint32_t i = 0; i < h->sq_entries; i++)
		list[i] = i;
	return pwrite_full(fd, list, len, (off_t)at);
}

/* All that is mapped of a ring, in a file of our own. Return: bytes; -errno */
static int64_t copy_memory(struct collect *c, ino_t ino, int fd)
{
	struct iouring_head h = {0};
	uint64_t size = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];

		if (!iouring_is_vma(v) || v->ino != ino)
			continue;
		if (v->pgoff_bytes >= OFF_PBUF || v->end - v->start > IOURING_RINGS_BYTES)
			return -EOPNOTSUPP;
		size = MAX(size, iouring_offset(v) + (v->end - v->start));
		r = copy_vma(c, v, fd);
	}
	if (r == 0 && size <= IOURING_RINGS_BYTES)
		return -EOPNOTSUPP;
	if (r == 0)
		r = pread_full(fd, &h, sizeof(h), 0);
	for (size_t i = 0; r == 0 && i < c->maps.n; i++)
		if (iouring_is_vma(&c->maps.v[i]) && c->maps.v[i].ino == ino &&
			!is_usual(&c->maps.v[i], &h))
			r = -EOPNOTSUPP;
	if (r == 0)
		r = fill_list(fd, &h);
	return r < 0 ? r : (int64_t)size;
}

static int collect_memory(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Shmem *m = msg_new(Ckpt__Shmem, CKPT__SHMEM__INIT);
	struct page_want w = {.type = &res_contents.type,
		.owner = id,
		.fd = memfd_create("io_uring", MFD_CLOEXEC)};
	int64_t size = m && w.fd >= 0 ? copy_memory(c, l->st.st_ino, w.fd) : -ENOMEM;

	if (size < 0 || ftruncate(w.fd, size) < 0) {
		free(m);
		fd_close(w.fd);
		return op_fail(c->op, size == -EOPNOTSUPP ? CKPT_E_REFUSED : CKPT_E_SYSTEM,
			size < 0 ? (int)-size : errno, "read", CLOSE_IT,
			"pid %d (%s): the memory of an io_uring ring%s", c->pid, c->tr->comm,
			size == -EOPNOTSUPP ? ", which is laid out in a way that is not known"
					    : "");
	}
	m->kind = CKPT__SHMEM__KIND__ANON;
	m->size_bytes = size;
	m->mode = SHARED_MODE;
	m->ino = l->st.st_ino;
	w.end = w.resident_bytes = size;
	if (collect_add_take(c, &res_shmem.type, id, m) < 0) {
		fd_close(w.fd);
		return -ENOMEM;
	}
	return collect_want_take(c, &w);
}

/* ---- dump: the ring ---- */

static bool is_head(const struct iouring_head *h, const struct info *s)
{
	return h->sq_mask == s->head.sq_mask && h->cq_mask == s->head.cq_mask &&
	       h->sq_entries == s->head.sq_mask + 1 && h->cq_entries == s->head.cq_mask + 1 &&
	       h->sq_head == s->head.sq_head && h->sq_tail == s->head.sq_tail &&
	       h->cq_head == s->head.cq_head && h->cq_tail == s->head.cq_tail;
}

/* The memory of a ring that was restored. 0: none, or several may be it */
static uint32_t find_memory(struct collect *c, const struct info *s)
{
	const Ckpt__Mm *mm = model_get(c->model, &res_mm.type, c->pid);
	uint32_t found = 0;

	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];
		struct iouring_head h;

		if (v->kind != CKPT__VMA__KIND__FILE || !v->shared || v->offset ||
			v->file == found || !model_get(c->model, &res_shmem.type, v->file) ||
			tracees_read(c->tr, v->start, &h, sizeof(h)) < 0 || !is_head(&h, s))
			continue;
		if (found)
			return 0;
		found = v->file;
	}
	return found;
}

/* The descriptors that registered files are, by their names; the ids are known in finish(). */
static int find_files(struct collect *c, struct info *s)
{
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;

	if (!s->n_files)
		return 0;
	s->m->files = calloc(s->n_files, sizeof(*s->m->files));
	if (!s->m->files || fdinfo_list(c->proc_fd, &fds, &n) < 0)
		return collect_oom(c);
	for (size_t i = 0; i < s->n_files; i++) {
		Ckpt__IoUringFile *f = msg_new(Ckpt__IoUringFile, CKPT__IO_URING_FILE__INIT);
		int found = -1;

		if (!f)
			return collect_oom(c);
		s->m->files[s->m->n_files++] = f;
		for (size_t k = 0; k < n; k++) {
			_cleanup_free_ char *link = NULL;
			char at[32];

			snprintf(at, sizeof(at), "fd/%d", fds[k]);
			if (link_read_at(c->proc_fd, at, &link) < 0 ||
				!str_eq(link, s->files[i].name))
				continue;
			if (found >= 0 &&
				kcmp_files(c->alive, found, c->alive, fds[k]) != KCMP_EQUAL)
				found = INT32_MAX;
			else if (found < 0)
				found = fds[k];
		}
		if (found < 0 || found == INT32_MAX)
			return op_fail(c->op, CKPT_E_REFUSED, 0, NULL,
				"let the program unregister it, or keep one descriptor of it",
				"pid %d (%s): file %s, registered with an io_uring ring, %s",
				c->pid, c->tr->comm, s->files[i].name,
				found < 0 ? "is no descriptor of the process any more"
					  : "is one of several of that name");
		f->index = s->files[i].index;
		f->file = (uint32_t)found;
	}
	return 0;
}

/* Nothing is in it that a program could see; one in memory of its program could not be mapped. */
static bool is_unmapped(int fd, const struct info *s)
{
	void *p = mmap(NULL, MM_PAGE, PROT_READ, MAP_SHARED, fd, IORING_OFF_SQ_RING);

	if (p == MAP_FAILED)
		return false;
	munmap(p, MM_PAGE);
	return s->head.cq_head == s->head.cq_tail && s->head.sq_head == s->head.sq_tail;
}

static bool has_eventfd(int fd)
{
	int none = -1;

	return syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, &none, 1) < 0 &&
	       errno == EBUSY;
}

static bool has_buffer_group(int fd, uint16_t group)
{
	/* nothing is at that address */
	struct io_uring_buf_reg reg = {.ring_addr = MM_PAGE, .ring_entries = 1, .bgid = group};

	return syscall(SYS_io_uring_register, fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0 &&
	       errno == EEXIST;
}

static bool has_buffers(int fd)
{
	for (unsigned group = 0; group < GROUPS_ASKED; group++)
		if (has_buffer_group(fd, (uint16_t)group))
			return true;
	return false;
}

static int collect_ring(struct collect *c, const struct file_look *l, struct info *s)
{
	const char *advice, *why;
	int r = read_info(c->proc_fd, l->target_fd, s);

	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			l->target_fd);
	why = wrong(s, &advice);
	s->m->memory = l->first_id ? l->first_id : find_memory(c, s);
	if (!why && !s->m->memory && !is_unmapped(l->fd, s)) {
		why = "its memory can't be told from that of another";
		advice = CLOSE_IT;
	}
	if (!why && has_buffers(l->fd)) {
		why = "buffers are provided to it, and the kernel does not tell which";
		advice = CLOSE_IT;
	}
	if (why)
		return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, advice,
			"pid %d (%s): io_uring fd %d: %s", c->pid, c->tr->comm, l->target_fd, why);
	s->m->eventfd = has_eventfd(l->fd);
	s->m->sq_entries = s->head.sq_mask + 1;
	s->m->cq_entries = s->head.cq_mask + 1;
	s->m->done = s->taken;
	return find_files(c, s);
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	struct info s = {0};
	int r;

	if (l->target_fd < 0)
		return collect_memory(c, id, l);
	r = collect_ring(c, l, &s);
	if (r == 0)
		r = collect_add_take(c, &res_iouring.type, id, TAKE_PTR(s.m));
	info_done(&s);
	return r;
}

/* The only eventfd of a process. Return: its id; 0: there is none, or there are several */
static uint32_t only_eventfd(const struct collect_tree *t, const Ckpt__FdTable *table)
{
	uint32_t found = 0;

	for (size_t i = 0; table && i < table->n_fds; i++) {
		uint32_t id = table->fds[i]->file;

		if (id == found || !model_get(t->model, &res_eventfd.type, id))
			continue;
		if (found)
			return 0;
		found = id;
	}
	return found;
}

static int find_eventfd(
	struct collect_tree *t, uint64_t id, const Ckpt__FdTable *table, Ckpt__IoUring *m)
{
	const struct collect_file *f = &t->files[id - 1];

	if (!m->eventfd)
		return 0;
	m->eventfd = only_eventfd(t, table);
	if (m->eventfd)
		return 0;
	return op_fail(t->op, CKPT_E_REFUSED, 0, NULL, CLOSE_IT,
		"pid %d (%s): io_uring fd %d: an eventfd is registered with it, and the kernel "
		"does not tell which",
		f->of->pid, f->of->tr->comm, f->target_fd);
}

static int finish(struct collect_tree *t)
{
	const struct model_rec *rec;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (rec = model_next(t->model, &res_iouring.type, &pos))) {
		Ckpt__IoUring *m = (void *)rec->msg;
		const Ckpt__FdTable *table =
			model_get(t->model, &res_fdtable.type, t->files[rec->owner - 1].of->pid);

		r = find_eventfd(t, rec->owner, table, m);

		for (size_t i = 0; table && i < m->n_files; i++)
			for (size_t k = 0; k < table->n_fds; k++)
				if (table->fds[k]->fd == m->files[i]->file) {
					m->files[i]->file = table->fds[k]->file;
					break;
				}
	}
	return r;
}

static const struct file_ops ops = {
	.match = match,
	.tied = true,
	.verdict = verdict,
	.collect = collect,
	.finish = finish,
	.open = iouring_open,
	.opened_all = iouring_opened_all,
	.plan = iouring_plan,
};

const struct res res_iouring = {
	.type = {"iouring", SCOPE_FILE, &ckpt__io_uring__descriptor, NULL},
	.file = &ops,
};
