/*
 * vmas.c - the mappings of an address space, from /proc/PID/smaps into the model.
 *
 * VmFlags of smaps are the only source of advice, locks and seals. Neighbours that differ in nothing
 * are one mapping in the image: the kernel keeps them apart only for how they came to be (two opens
 * of one file, two separate faults), and would merge them at the restore.
 *
 * "ac" (VM_ACCOUNT) is kept because it outlives what gave it: a page that was once writable stays
 * counted against the overcommit limit, and does not merge with one that never was.
 */
#include "res/mm/mm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/pagemap.h"
#include "res/file/files.h"
#include "util/str.h"
#include "util/vec.h"

/* Parts that the kernel maps by itself, named in brackets. */
static bool is_vdso_part(const struct vma *v)
{
	return v->path && (str_eq(v->path, "[vdso]") || str_startswith(v->path, "[vvar"));
}

static bool is_vsyscall(const struct vma *v)
{
	return v->path && str_eq(v->path, "[vsyscall]");
}

static int refuse(struct collect *c, const struct vma *v, const char *why)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "see ckpt explain",
		"pid %d (%s): memory %llx-%llx %s: %s", c->pid, c->tr->comm,
		(unsigned long long)v->start, (unsigned long long)v->end, v->path ? v->path : "",
		why);
}

static int check_kind(struct collect *c, const struct vma *v)
{
	if (v->vmflags & (VMF_UM | VMF_UW | VMF_UI) && !userfaultfd_count(c->proc_fd))
		return refuse(c, v, "is registered with a userfaultfd of another process");
	if (v->vmflags & (VMF_IO | VMF_PF))
		return refuse(c, v, "is memory of a device, which can't be saved");
	if (v->vmflags & VMF_SS)
		return refuse(c, v, "is a shadow stack, which can't be saved yet");
	return 0;
}

/* Private hugetlb memory has a file of the kernel's own behind it, which nobody can share. */
static bool is_private_hugetlb(const struct vma *v)
{
	return v->vmflags & VMF_HT && !(v->prot & VMA_SHARED) && v->path &&
	       str_eq(v->path, "/anon_hugepage");
}

/* The first segment of System V shared memory has the id 0, and so has its inode. */
static bool has_file(const struct vma *v)
{
	return (v->ino || (v->path && *v->path == '/')) && !is_private_hugetlb(v);
}

/* The number in the name of a socket is that of this one, not of what is restored. */
static const char *file_name(const struct vma *v)
{
	return !v->path ? "" : str_startswith(v->path, "socket:[") ? "socket:" : v->path;
}

/* A flag's bit may lie above those that protobuf-c's bool has. */
static bool has(const struct vma *v, uint64_t flag)
{
	return (v->vmflags & flag) != 0;
}

/* ------------------------------------------------------------------ mappings */

static int fill_vma(struct collect *c, const struct vma *v, Ckpt__Vma *m)
{
	const char *name = v->path ? str_startswith(v->path, "[anon:") : NULL;

	m->start = v->start;
	m->end = v->end;
	m->prot = v->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	m->shared = (v->prot & VMA_SHARED) != 0;
	m->flags = v->vmflags & MM_FLAGS_KEPT;
	m->pkey = v->protection_key;
	m->growsdown = has(v, VMF_GD);
	m->noreserve = has(v, VMF_NR);
	m->locked = has(v, VMF_LO);
	/* old kernels have no letters for it, and no other flag without letters (seen on 6.1) */
	m->lock_onfault = has(v, VMF_LF) || (m->locked && has(v, VMF_UNKNOWN));
	m->sealed = has(v, VMF_SL);
	m->droppable = has(v, VMF_DP);
	m->accounted = has(v, VMF_AC);
	if (has(v, VMF_HT))
		m->page_bytes = v->kernel_page_bytes;
	if (is_vdso_part(v)) {
		m->kind = CKPT__VMA__KIND__VDSO;
		m->flags = 0;
		m->name = strdup(v->path);
	} else if (aio_is_ring(v)) {
		m->kind = CKPT__VMA__KIND__OTHER;
		m->name = strdup(v->path);
	} else if (iouring_is_vma(v)) { /* it will be shared anonymous memory */
		m->kind = CKPT__VMA__KIND__FILE;
		m->offset = iouring_offset(v);
		m->name = strdup("/dev/zero");
		return files_of_vma(c, v, &m->file);
	} else if (has_file(v)) {
		m->kind = CKPT__VMA__KIND__FILE;
		m->offset = v->pgoff_bytes;
		m->name = strdup(file_name(v));
		if (secrets_is_vma(v)) /* by itself */
			m->locked = m->lock_onfault = false;
		return files_of_vma(c, v, &m->file);
	} else if (name) {
		m->name = strndup(name, strlen(name) - 1);
	}
	return 0;
}

static int want_pages(struct collect *c, const struct vma *v, const Ckpt__Vma *m)
{
	struct page_want w = {.type = &res_pages.type,
		.owner = c->pid,
		.fd = -EBADF,
		.start = v->start,
		.end = v->end,
		.keep_zero = m->kind == CKPT__VMA__KIND__FILE || has(v, VMF_UM),
		.resident_bytes = v->anonymous_bytes + v->swap_bytes + v->hugetlb_bytes};

	if (m->kind == CKPT__VMA__KIND__VDSO || m->shared || m->droppable || !w.resident_bytes)
		return 0;
	return collect_want_take(c, &w);
}

static bool mergeable(const Ckpt__Vma *a, const Ckpt__Vma *b)
{
	if (a->kind == CKPT__VMA__KIND__FILE && a->offset + (a->end - a->start) != b->offset)
		return false;
	/* each part of an attached segment counts as an attachment */
	if (a->shared && str_startswith(a->name, "/SYSV"))
		return false;
	return a->kind == b->kind && a->kind != CKPT__VMA__KIND__VDSO &&
	       a->kind != CKPT__VMA__KIND__OTHER && a->end == b->start && a->prot == b->prot &&
	       a->shared == b->shared && a->file == b->file && a->flags == b->flags &&
	       a->pkey == b->pkey && a->growsdown == b->growsdown && a->noreserve == b->noreserve &&
	       a->locked == b->locked && a->lock_onfault == b->lock_onfault &&
	       a->sealed == b->sealed && a->droppable == b->droppable &&
	       a->accounted == b->accounted && a->page_bytes == b->page_bytes &&
	       strcmp(a->name, b->name) == 0;
}

static int collect_vma(struct collect *c, Ckpt__Mm *mm, const struct vma *v)
{
	Ckpt__Vma *m = msg_new(Ckpt__Vma, CKPT__VMA__INIT);
	int r;

	if (!m)
		return collect_oom(c);
	mm->vmas[mm->n_vmas++] = m;
	r = is_vdso_part(v) ? 0 : check_kind(c, v);
	if (r == 0)
		r = fill_vma(c, v, m);
	if (r == 0 && !m->name)
		r = collect_oom(c);
	if (r == 0)
		r = want_pages(c, v, m);
	if (r == 0 && mm->n_vmas > 1 && mergeable(mm->vmas[mm->n_vmas - 2], m)) {
		mm->vmas[mm->n_vmas - 2]->end = m->end;
		protobuf_c_message_free_unpacked(&m->base, NULL);
		mm->n_vmas--;
	}
	return r;
}

/* ------------------------------------------------------------------ guard pages */

static int add_guard(struct collect *c, Ckpt__Mm *mm, size_t *cap, const struct page_run *run)
{
	Ckpt__Range *last = mm->n_guards ? mm->guards[mm->n_guards - 1] : NULL;

	if (last && last->end == run->start) {
		last->end = run->end;
		return 0;
	}
	if (vec_reserve(&mm->guards, cap, mm->n_guards + 1, sizeof(Ckpt__Range *)) < 0)
		return collect_oom(c);
	last = msg_new(Ckpt__Range, CKPT__RANGE__INIT);
	if (!last)
		return collect_oom(c);
	last->start = run->start;
	last->end = run->end;
	mm->guards[mm->n_guards++] = last;
	return 0;
}

/* Only where the kernel says that there may be any: since 6.15, and then PAGEMAP_SCAN tells them. */
static int collect_guards(struct collect *c, Ckpt__Mm *mm)
{
	struct pagemap pm = {.fd = -EBADF};
	struct page_runs runs = {0};
	size_t cap = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];

		if (!has(v, VMF_GU))
			continue;
		if (pm.fd < 0)
			r = pagemap_open(c->proc_fd, &pm);
		if (r == 0)
			r = pagemap_scan(&pm, v->start, v->end, &runs);
	}
	if (r < 0)
		r = op_fail(c->op, CKPT_E_SYSTEM, -r, "pagemap", NULL,
			"pid %d (%s): finding its guard pages", c->pid, c->tr->comm);
	for (size_t i = 0; r == 0 && i < runs.n; i++)
		if (runs.v[i].categories & PAGE_IS_GUARD)
			r = add_guard(c, mm, &cap, &runs.v[i]);
	page_runs_done(&runs);
	pagemap_close(&pm);
	return r;
}

int mm_collect_vmas(struct collect *c, Ckpt__Mm *mm)
{
	int r = 0;

	mm->vmas = calloc(c->maps.n ? c->maps.n : 1, sizeof(*mm->vmas));
	if (!mm->vmas)
		return collect_oom(c);
	for (size_t i = 0; r == 0 && i < c->maps.n; i++)
		if (!is_vsyscall(&c->maps.v[i]))
			r = collect_vma(c, mm, &c->maps.v[i]);
	return r < 0 ? r : collect_guards(c, mm);
}
