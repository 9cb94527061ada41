/*
 * userfaultfd.c - faults that a program handles itself.
 *
 * fdinfo tells the features, VmFlags of smaps which mappings are registered and how, the pagemap which
 * pages are write-protected (bit 57, Linux >= 5.14). It is of the memory of who made it, so the task makes
 * it anew, late, when nothing of ours touches that memory any more. A thread that waits for its fault to be
 * handled faults again, and the fault is told of again.
 *
 * Of which of several descriptors a mapping is, is found out by calls that change nothing: UFFDIO_REGISTER
 * as it is registered already is nothing new to its own one, and EBUSY to any other. It is only asked of a
 * descriptor in whose memory the range is registered at all, since it would register it there: UFFDIO_COPY
 * from nowhere is ENOENT if it is not, and EFAULT if it is. Who got his descriptor from another process may
 * have two that claim a mapping; that is refused.
 *
 * What is not told: whether faults inside the kernel are told of, too (UFFD_USER_MODE_ONLY). A restored one
 * tells of them, where the restore may make such a one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>

#include "kernel/fdinfo.h"
#include "kernel/pagemap.h"
#include "proto/fdtable.pb-c.h"
#include "proto/userfaultfd.pb-c.h"
#include "res/file/files.h"
#include "res/file/seen.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define LINK         "anon_inode:[userfaultfd]"
#define INITIALIZED  (1ULL << 31) /* the kernel's own, among the features */
#define PM_UFFD_WP   (1ULL << 57)
#define CHUNK        4096      /* entries of the pagemap that are read at once */
#define MODE_MINOR   (1U << 2) /* UFFDIO_REGISTER_MODE_MINOR, 5.13 */
#define SEVERAL      "of which of several userfaultfds a mapping is can't be told"
#define SEVERAL_TODO "let the program close all but one"
#define NOWHERE      0 /* an address in our own memory that leads to nothing */

static bool match(const struct file_look *l)
{
	return strcmp(l->link, LINK) == 0;
}

unsigned userfaultfd_count(int procfd)
{
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	unsigned count = 0;

	if (fdinfo_list(procfd, &fds, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *link = NULL;
		char at[32];

		snprintf(at, sizeof(at), "fd/%d", fds[i]);
		count += link_read_at(procfd, at, &link) == 0 && str_eq(link, LINK);
	}
	return count;
}

/* "aa:80000100:80000000000001ff" */
static int line(char *key, char *value, void *arg)
{
	Ckpt__Userfaultfd *m = arg;
	unsigned long long features;

	if (strcmp(key, "API") != 0)
		return 0;
	if (sscanf(value, "%*x:%llx", &features) != 1)
		return -EBADMSG;
	m->ready = (features & INITIALIZED) != 0;
	m->features = features & ~INITIALIZED;
	return 0;
}

/* ---- dump ---- */

static int add_range(
	Ckpt__UffdRange ***v, size_t *n, size_t *cap, uint64_t start, uint64_t end, uint32_t mode)
{
	Ckpt__UffdRange *r = *n ? (*v)[*n - 1] : NULL;

	if (r && r->end == start && r->mode == mode) {
		r->end = end;
		return 0;
	}
	if (vec_reserve(v, cap, *n + 1, sizeof(**v)) < 0)
		return -ENOMEM;
	r = msg_new(Ckpt__UffdRange, CKPT__UFFD_RANGE__INIT);
	if (!r)
		return -ENOMEM;
	r->start = start;
	r->end = end;
	r->mode = mode;
	(*v)[(*n)++] = r;
	return 0;
}

static int add_protected(Ckpt__Userfaultfd *m, size_t *cap, int pagemap, const struct vma *v)
{
	_cleanup_free_ uint64_t *entries = malloc(CHUNK * sizeof(*entries));
	uint64_t at = v->start;
	int r = entries ? 0 : -ENOMEM;

	while (r == 0 && at < v->end) {
		size_t n = MIN((v->end - at) / MM_PAGE, (uint64_t)CHUNK);

		r = pread_full(pagemap, entries, n * sizeof(*entries),
			(off_t)(at / MM_PAGE * sizeof(*entries)));
		for (size_t i = 0; r == 0 && i < n; i++, at += MM_PAGE)
			if (entries[i] & PM_UFFD_WP)
				r = add_range(
					&m->protected_, &m->n_protected_, cap, at, at + MM_PAGE, 0);
	}
	return r;
}

/* The page of zeros is no contents elsewhere; here it is not missing. */
static int add_zeros(
	Ckpt__Userfaultfd *m, size_t *cap, const struct pagemap *pm, const struct vma *v)
{
	struct page_runs runs = {0};
	int r = v->prot & VMA_SHARED ? 0 : pagemap_scan(pm, v->start, v->end, &runs);

	for (size_t i = 0; r == 0 && i < runs.n; i++)
		if (runs.v[i].categories & PAGE_IS_PFNZERO)
			r = add_range(
				&m->zeros, &m->n_zeros, cap, runs.v[i].start, runs.v[i].end, 0);
	page_runs_done(&runs);
	return r;
}

static uint32_t mode_of(const struct vma *v)
{
	return (v->vmflags & VMF_UM ? UFFDIO_REGISTER_MODE_MISSING : 0) |
	       (v->vmflags & VMF_UW ? UFFDIO_REGISTER_MODE_WP : 0) |
	       (v->vmflags & VMF_UI ? MODE_MINOR : 0);
}

/* Whether a mapping that is registered is so with the userfaultfd fd, see the top of the file. */
static bool claims(int fd, const struct vma *v)
{
	struct uffdio_copy copy = {.dst = v->start, .src = NOWHERE, .len = MM_PAGE};
	struct uffdio_register reg = {.range = {v->start, v->end - v->start}, .mode = mode_of(v)};

	if (v->vmflags & VMF_HT) /* in its pages */
		copy.len = v->kernel_page_bytes;
	if (ioctl(fd, UFFDIO_COPY, &copy) == 0 || errno != EFAULT)
		return false;
	return ioctl(fd, UFFDIO_REGISTER, &reg) == 0;
}

/* @fd: one of several, which have to be told from each other; -EBADF: it is the only one */
static int collect_ranges(struct collect *c, Ckpt__Userfaultfd *m, int fd)
{
	size_t cap = 0, cap_protected = 0, cap_zeros = 0;
	struct pagemap pm = {.fd = -EBADF};
	int r = pagemap_open(c->proc_fd, &pm);

	for (size_t i = 0; r == 0 && i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];
		uint32_t mode = mode_of(v);

		if (mode && fd >= 0 && !claims(fd, v))
			continue;
		if (mode)
			r = add_range(&m->ranges, &m->n_ranges, &cap, v->start, v->end, mode);
		if (r == 0 && v->vmflags & VMF_UW)
			r = add_protected(m, &cap_protected, pm.fd, v);
		if (r == 0 && v->vmflags & VMF_UM)
			r = add_zeros(m, &cap_zeros, &pm, v);
	}
	pagemap_close(&pm);
	return r;
}

static int collect(struct collect *c, uint64_t id, const struct file_look *l)
{
	Ckpt__Userfaultfd *m;
	struct fdinfo info;
	bool several = userfaultfd_count(c->proc_fd) > 1;
	int r;

	m = msg_new(Ckpt__Userfaultfd, CKPT__USERFAULTFD__INIT);
	if (!m)
		return collect_oom(c);
	m->pid = c->pid;
	r = fdinfo_read(c->proc_fd, l->target_fd, &info, line, m);
	if (r == 0)
		r = collect_ranges(c, m, several ? l->fd : -EBADF);
	if (r < 0) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		return op_fail(c->op, CKPT_E_SYSTEM, -r, "read", NULL,
			"pid %d (%s): userfaultfd %d", c->pid, c->tr->comm, l->target_fd);
	}
	return collect_add_take(c, &res_userfaultfd.type, id, m);
}

static bool has_range(const Ckpt__Userfaultfd *m, uint64_t at)
{
	for (size_t i = 0; i < m->n_ranges; i++)
		if (at >= m->ranges[i]->start && at < m->ranges[i]->end)
			return true;
	return false;
}

/* Whether what is registered is claimed by one descriptor each. */
static bool all_told(const struct collect *c)
{
	for (size_t i = 0; i < c->maps.n; i++) {
		const struct model_rec *rec;
		unsigned claims = 0;
		size_t pos = 0;

		while (mode_of(&c->maps.v[i]) &&
			(rec = model_next(c->model, &res_userfaultfd.type, &pos))) {
			const Ckpt__Userfaultfd *m = (const void *)rec->msg;

			claims += m->pid == c->pid && has_range(m, c->maps.v[i].start);
		}
		if (mode_of(&c->maps.v[i]) && claims != 1)
			return false;
	}
	return true;
}

/* In two tasks it would be of the memory of either. */
static int finish(struct collect_tree *t)
{
	const struct model_rec *rec, *table;
	size_t pos = 0, at = 0;
	unsigned holders = 0;

	while ((rec = model_next(t->model, &res_userfaultfd.type, &pos))) {
		const struct collect *c = t->files[rec->owner - 1].of;

		if (!all_told(c))
			return op_fail(t->op, CKPT_E_REFUSED, 0, NULL, SEVERAL_TODO,
				"pid %d (%s): " SEVERAL, c->pid, c->tr->comm);
	}
	pos = 0;

	while ((rec = model_next(t->model, &res_userfaultfd.type, &pos))) {
		for (at = holders = 0; (table = model_next(t->model, &res_fdtable.type, &at));)
			holders += fdtable_entry_of((const void *)table->msg, rec->owner) != NULL;
		if (holders > 1)
			return op_fail(t->op, CKPT_E_REFUSED, 0, NULL,
				"let all but its own process close it",
				"pid %d (%s): a userfaultfd is open in %u processes",
				t->files[rec->owner - 1].of->pid,
				t->files[rec->owner - 1].of->tr->comm, holders);
	}
	return 0;
}

/* ---- restore ---- */

static int open_uffd(
	struct open_ctx *o, uint64_t id, const struct model_rec *rec, const void *file_record)
{
	(void)id;
	(void)rec;
	(void)file_record;
	return o->unneeded ? OPEN_NOTHING : files_placeholder(o);
}

static void plan_ioctl(struct prog *prog, const char *what, size_t fd, unsigned long request,
	const void *arg, size_t len)
{
	PROG_CALL(prog, what, SYS_ioctl, RES(fd), IMM(request), DATA(prog_data(prog, arg, len)));
}

static void plan_ranges(const Ckpt__Userfaultfd *m, size_t fd, struct prog *prog)
{
	for (size_t i = 0; i < m->n_ranges; i++) {
		const Ckpt__UffdRange *r = m->ranges[i];
		struct uffdio_register reg = {
			.range = {r->start, r->end - r->start}, .mode = r->mode};

		plan_ioctl(prog, "userfaultfd: register", fd, UFFDIO_REGISTER, &reg, sizeof(reg));
		prog_object(prog, "%llx-%llx", (unsigned long long)r->start,
			(unsigned long long)r->end);
	}
	for (size_t i = 0; i < m->n_zeros; i++) {
		const Ckpt__UffdRange *r = m->zeros[i];
		struct uffdio_zeropage z = {.range = {r->start, r->end - r->start}};

		plan_ioctl(prog, "userfaultfd: zeros", fd, UFFDIO_ZEROPAGE, &z, sizeof(z));
		prog_object(prog, "%llx-%llx", (unsigned long long)r->start,
			(unsigned long long)r->end);
	}
	for (size_t i = 0; i < m->n_protected_; i++) {
		const Ckpt__UffdRange *r = m->protected_[i];
		struct uffdio_writeprotect wp = {.range = {r->start, r->end - r->start},
			.mode = UFFDIO_WRITEPROTECT_MODE_WP};

		plan_ioctl(prog, "userfaultfd: protect", fd, UFFDIO_WRITEPROTECT, &wp, sizeof(wp));
		prog_object(prog, "%llx-%llx", (unsigned long long)r->start,
			(unsigned long long)r->end);
	}
}

static size_t late(struct plan *p, const struct model_rec *rec, int held, struct prog *prog)
{
	const Ckpt__Userfaultfd *m = (const void *)rec->msg;
	const Ckpt__File *f = model_get(p->model, &res_file.type, rec->owner);
	struct uffdio_api api = {.api = UFFD_API, .features = m->features};
	size_t fd;

	(void)held;
	fd = PROG_CALL(prog, "userfaultfd: make", SYS_userfaultfd,
		IMM(O_CLOEXEC | (f ? f->flags & O_NONBLOCK : 0)));
	if (!m->ready)
		return fd;
	plan_ioctl(prog, "userfaultfd: features", fd, UFFDIO_API, &api, sizeof(api));
	plan_ranges(m, fd, prog);
	return fd;
}

static const struct file_ops ops = {
	.match = match,
	.tied = true,
	.collect = collect,
	.finish = finish,
	.open = open_uffd,
	.late = late,
};

const struct res res_userfaultfd = {
	.type = {"userfaultfd", SCOPE_FILE, &ckpt__userfaultfd__descriptor, NULL},
	.file = &ops,
};
