/*
 * iouring.c - rings of io_uring_setup(2).
 *
 * A ring has an inode of its own, so that its mappings are known by it. They can't be put where they were
 * (a mapping of a ring at a chosen address fails), but a ring can be made in memory that is there already
 * (IORING_SETUP_NO_MMAP, Linux >= 6.5). So the memory is saved as shared anonymous memory, which it is from
 * the first restore on; then it is found by what fdinfo tells of its contents.
 *
 * A ring with something under way is refused, and so is one with a thread of its own (iouring_info.c).
 *
 * Whether an eventfd is registered, or buffers are provided, is told by trying to register what can't be:
 * EBUSY or EEXIST comes before what is wrong with it (io_uring/eventfd.c, kbuf.c). Which eventfd it is is not
 * told; if the process has one only, it is that. Of a ring that only one task may use (SINGLE_ISSUER) even this
 * can't be asked. What a restored ring is without: that only one task may submit, which only forbids, and
 * that task work is put off.
 */
#include "res/file/iouring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "kernel/fdinfo.h"
#include "kernel/kcmp.h"
#include "proto/fdtable.pb-c.h"
#include "proto/iouring.pb-c.h"
#include "proto/mm.pb-c.h"
#include "res/file/seen.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"

#define LINK         "anon_inode:[io_uring]"
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

static struct file_verdict verdict(int procfd, const struct file_look *l)
{
	struct file_verdict v = {CKPT_SAVED, NULL, NULL};
	struct iouring_info s = {0};

	if (l->target_fd >= 0 && iouring_info_read(procfd, l->target_fd, &s) == 0)
		v.reason = iouring_wrong(&s, &v.advice);
	if (v.reason)
		v.verdict = CKPT_REFUSED;
	else
		v.advice = NULL;
	iouring_info_done(&s);
	return v;
}

static bool is_head(const struct iouring_head *h, const struct iouring_info *s)
{
	return h->sq_mask == s->head.sq_mask && h->cq_mask == s->head.cq_mask &&
	       h->sq_entries == s->head.sq_mask + 1 && h->cq_entries == s->head.cq_mask + 1 &&
	       h->sq_head == s->head.sq_head && h->sq_tail == s->head.sq_tail &&
	       h->cq_head == s->head.cq_head && h->cq_tail == s->head.cq_tail;
}

/* The memory of a ring that was restored. 0: none, or several may be it */
static uint32_t find_memory(struct collect *c, const struct iouring_info *s)
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

/* As the link of a descriptor has it; Linux 6.12 tells the last part of a path alone. */
static bool is_whole_name(const char *name)
{
	return *name == '/' || strchr(name, ':');
}

/* The descriptors that registered files are, by their names; the ids are known in finish(). */
static int find_files(struct collect *c, struct iouring_info *s)
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
				found >= 0 ? "is one of several of that name"
				: is_whole_name(s->files[i].name)
					? "is no descriptor of the process any more"
					: "is told by this kernel without its directory");
		f->index = s->files[i].index;
		f->file = (uint32_t)found;
	}
	return 0;
}

/* Nothing is in it that a program could see; one in memory of its program could not be mapped. */
static bool is_unmapped(int fd, const struct iouring_info *s)
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

static int collect_ring(struct collect *c, const struct file_look *l, struct iouring_info *s)
{
	const char *advice, *why;
	int r = iouring_info_read(c->proc_fd, l->target_fd, s);

	if (r < 0)
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL, "/proc/%d/fdinfo/%d", c->pid,
			l->target_fd);
	why = iouring_wrong(s, &advice);
	s->m->memory = l->first_id ? l->first_id : find_memory(c, s);
	if (!why && !s->m->memory && !is_unmapped(l->fd, s)) {
		why = "its memory can't be told from that of another";
		advice = IOURING_CLOSE_IT;
	}
	if (!why && has_buffers(l->fd)) {
		why = "buffers are provided to it, and the kernel does not tell which";
		advice = IOURING_CLOSE_IT;
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
	struct iouring_info s = {0};
	int r;

	if (l->target_fd < 0)
		return iouring_collect_memory(c, id, l);
	r = collect_ring(c, l, &s);
	if (r == 0)
		r = collect_add_take(c, &res_iouring.type, id, TAKE_PTR(s.m));
	iouring_info_done(&s);
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
	return op_fail(t->op, CKPT_E_REFUSED, 0, NULL, IOURING_CLOSE_IT,
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
