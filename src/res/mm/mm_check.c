/*
 * mm_check.c - what is wrong with the address space of an image, before anything is made of it.
 *
 * An image is untrusted. What the kernel checks by itself (the bounds of PR_SET_MM_MAP, a file's
 * protection) is left to it; what the planner relies on is checked here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/pages.pb-c.h"
#include "proto/shmem.pb-c.h"
#include "res/file/files.h"
#include "res/mm/mm.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/str.h"
#include "util/vec.h"

#define PROT_ALL     (PROT_READ | PROT_WRITE | PROT_EXEC)
#define PKEYS        16
#define NAME_MAX_LEN 4200 /* PATH_MAX and what the kernel adds */
#define HUGE_MIN     (64UL << 10)
#define HUGE_MAX     (16UL << 30)
#define AUXV_MAX     4096

static int bad(const struct plan *p, pid_t pid, const char *what, size_t i, const char *why)
{
	return op_fail(p->op, CKPT_E_IMAGE, 0, NULL, "the image is damaged; see ckpt verify",
		"mm %d: %s[%zu]: %s", pid, what, i, why);
}

/* @end: of the range before. Return: NULL, or what is wrong. */
static const char *range_wrong(uint64_t start, uint64_t end, uint64_t before)
{
	if (start >= end)
		return "it ends before it begins";
	if ((start | end) % MM_PAGE)
		return "it does not begin and end at a page";
	if (end > MM_TASK_SIZE_END)
		return "it lies beyond the addresses that a program has";
	if (start < before)
		return "it overlaps the one before it";
	return NULL;
}

static const char *huge_wrong(const Ckpt__Vma *v)
{
	uint64_t size = v->page_bytes;

	if (!size)
		return NULL;
	if (size < HUGE_MIN || size > HUGE_MAX || size & (size - 1))
		return "there are no pages of that size";
	return (v->start | v->end) & (size - 1) ? "it does not begin and end at a huge page" : NULL;
}

static const char *vma_wrong(const struct plan *p, const Ckpt__Vma *v, uint64_t before)
{
	const char *why = range_wrong(v->start, v->end, before);

	if (why)
		return why;
	if ((unsigned)v->kind > CKPT__VMA__KIND__OTHER)
		return "its kind is not known to this build";
	if (v->prot & ~(uint32_t)PROT_ALL)
		return "its protection is not known to this build";
	if (v->flags & ~(uint64_t)MM_FLAGS_KEPT)
		return "it has flags that are not known to this build";
	if (v->pkey >= PKEYS)
		return "there is no such protection key";
	if (strlen(v->name) > NAME_MAX_LEN)
		return "its name is too long";
	if (v->kind == CKPT__VMA__KIND__FILE && !plan_file(p, v->file))
		return "its file is not in the image";
	if (v->kind == CKPT__VMA__KIND__FILE &&
		(v->offset % MM_PAGE || v->offset > INT64_MAX - (v->end - v->start)))
		return "its offset in the file can't be";
	if (v->kind == CKPT__VMA__KIND__ANON && v->shared)
		return "it is shared, but has no file";
	if (v->droppable && v->kind != CKPT__VMA__KIND__ANON)
		return "it is droppable, but has a file";
	why = mm_segment_wrong(p, v);
	return why ? why : huge_wrong(v);
}

static int check_vmas(const struct plan *p, pid_t pid, const Ckpt__Mm *mm)
{
	uint64_t end = 0, vdso = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];
		const char *why = vma_wrong(p, v, end);

		if (why)
			return bad(p, pid, "vmas", i, why);
		if (v->kind == CKPT__VMA__KIND__VDSO && strcmp(v->name, "[vdso]") == 0) {
			if (vdso)
				return bad(p, pid, "vmas", i, "it is a second [vdso]");
			vdso = v->end - v->start;
		}
		end = v->end;
	}
	if (mm->vdso.len > vdso || (vdso && !mm->vdso.len))
		return bad(p, pid, "vdso", 0, "its code is not as long as its mapping");
	return 0;
}

static int check_guards(const struct plan *p, pid_t pid, const Ckpt__Mm *mm)
{
	uint64_t end = 0;

	for (size_t i = 0; i < mm->n_guards; i++) {
		const Ckpt__Range *g = mm->guards[i];
		const char *why = range_wrong(g->start, g->end, end);

		if (why)
			return bad(p, pid, "guards", i, why);
		end = g->end;
	}
	return 0;
}

/* Contents go where the image maps something, and nowhere else. */
static int check_pages(const struct plan *p, pid_t pid, const Ckpt__Mm *mm)
{
	const Ckpt__Pages *pages = model_get(p->model, &res_pages.type, pid);
	uint64_t before = 0;
	size_t k = 0;

	for (size_t i = 0; pages && i < pages->n_runs; i++) {
		const Ckpt__PageRun *r = pages->runs[i];
		uint64_t at = r->start, end;

		if (__builtin_mul_overflow(r->pages, MM_PAGE, &end) ||
			__builtin_add_overflow(end, r->start, &end) || range_wrong(at, end, before))
			return bad(p, pid, "pages: runs", i, "no such range, or out of order");
		before = end;
		while (at < end) {
			while (k < mm->n_vmas && mm->vmas[k]->end <= at)
				k++;
			if (k == mm->n_vmas || mm->vmas[k]->start > at)
				return bad(p, pid, "pages: runs", i, "nothing is mapped there");
			at = MIN(end, mm->vmas[k]->end);
		}
	}
	return 0;
}

int mm_check(const struct plan *p, pid_t pid, const Ckpt__Mm *mm)
{
	int r = check_vmas(p, pid, mm);

	if (r == 0)
		r = check_guards(p, pid, mm);
	if (r == 0)
		r = check_pages(p, pid, mm);
	if (r == 0 && !plan_file(p, mm->exe_file))
		r = bad(p, pid, "exe_file", 0, "the file is not in the image");
	if (r == 0 && mm->auxv.len > AUXV_MAX)
		r = bad(p, pid, "auxv", 0, "it is too long");
	if (r == 0 && mm->lock_future != 0 && mm->lock_future != MCL_FUTURE &&
		mm->lock_future != (MCL_FUTURE | MCL_ONFAULT))
		r = bad(p, pid, "lock_future", 0, "its flags are not known to this build");
	return r;
}

/* ------------------------------------------------------------------ huge pages */

/* Pages of one size that the image needs. */
static uint64_t huge_needed(const struct plan *p, const Ckpt__Mm *mm, uint64_t size)
{
	const struct model_rec *rec;
	uint64_t n = 0;
	size_t pos = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (v->page_bytes == size && !v->shared && !v->noreserve)
			n += (v->end - v->start) / size;
	}
	while ((rec = model_next(p->model, &res_shmem.type, &pos))) {
		const Ckpt__Shmem *m = (const void *)rec->msg;

		if (m->page_bytes == size && !m->same_inode_as)
			n += m->size_bytes / size;
	}
	return n;
}

static uint64_t sys_number(uint64_t size, const char *name)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	const char *at;
	uint64_t value = 0;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB/%s",
		(unsigned long long)size / 1024, name);
	if (file_read_at(AT_FDCWD, path, &text, NULL) < 0)
		return 0;
	at = text;
	return str_u64(&at, 10, &value) < 0 ? 0 : value;
}

static int check_size(const struct plan *p, pid_t pid, const Ckpt__Mm *mm, uint64_t size)
{
	uint64_t need = huge_needed(p, mm, size);
	uint64_t free_pages = sys_number(size, "free_hugepages");
	uint64_t promised = sys_number(size, "resv_hugepages");
	uint64_t more = sys_number(size, "nr_overcommit_hugepages");
	uint64_t lent = sys_number(size, "surplus_hugepages");
	uint64_t have = (free_pages > promised ? free_pages - promised : 0) +
			(more > lent ? more - lent : 0);

	if (need <= have)
		return 0;
	return op_fail(p->op, CKPT_E_SPACE, 0, NULL,
		"raise nr_hugepages below /sys/kernel/mm/hugepages",
		"pid %d: %llu huge pages of %llu KiB are needed, %llu can be had", pid,
		(unsigned long long)need, (unsigned long long)size / 1024,
		(unsigned long long)have);
}

int mm_check_room(const struct plan *p, pid_t pid, const Ckpt__Mm *mm)
{
	uint64_t done = 0; /* sizes are powers of two */
	int r = 0;

	for (size_t i = 0; r == 0 && i < mm->n_vmas; i++) {
		uint64_t size = mm->vmas[i]->page_bytes;

		if (!size || done & size)
			continue;
		done |= size;
		r = check_size(p, pid, mm, size);
	}
	return r;
}
