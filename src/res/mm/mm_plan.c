/*
 * mm_plan.c - an address space, from the model to system calls.
 *
 * The task unmaps everything but the agent, gets its vdso (vdso.c), and maps the rest with its final
 * protection: contents are written from outside, past protections. What follows the contents comes in
 * later phases: guards and locks when they are there, seals and MCL_FUTURE at the very end.
 *
 * PR_SET_MM_MAP (Linux >= 3.18) sets all bounds at once without CAP_SYS_RESOURCE; the exe link needs
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN and no mapping of the old exe.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/prctl.h>

#include "res/mm/mm.h"
#include "res/mm/mm_inherit.h"
#include "res/mm/vdso.h"
#include "util/str.h"
#include "util/vec.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PROT_BTI
#define PROT_BTI 0x10 /* asm/mman.h of aarch64 */
#endif
#define HUGE_SHIFT 26 /* MAP_HUGE_SHIFT */

static const struct {
	uint64_t flag;
	int advice;
} advices[] = {
	{VMF_DC, MADV_DONTFORK},
	{VMF_WF, MADV_WIPEONFORK},
	{VMF_DD, MADV_DONTDUMP},
	{VMF_MG, MADV_MERGEABLE},
	{VMF_HG, MADV_HUGEPAGE},
	{VMF_NH, MADV_NOHUGEPAGE},
	{VMF_SR, MADV_SEQUENTIAL},
	{VMF_RR, MADV_RANDOM},
};

static void describe(struct prog *prog, const Ckpt__Vma *v)
{
	prog_object(prog, "%llx-%llx %s", (unsigned long long)v->start, (unsigned long long)v->end,
		v->name);
}

/* ------------------------------------------------------------------ EARLY: mappings */

void mm_plan_forget(const struct plan *p, struct prog *prog)
{
	uint64_t kept_end, top, kept = vdso_plan_keep(p->vdso, &kept_end, &top);

	PROG_CALL(prog, "mm: forget the restorer's memory", SYS_munmap, IMM(0), PROG_AREA_START);
	PROG_CALL(prog, "mm: forget the restorer's memory", SYS_munmap, PROG_AREA_END,
		PROG_ABOVE_AREA(kept ? kept : MM_TASK_SIZE_END));
	if (kept)
		PROG_CALL(prog, "mm: forget the restorer's memory", SYS_munmap, IMM(kept_end),
			IMM(top - kept_end));
}

static int map_flags(const Ckpt__Vma *v)
{
	int flags = MAP_FIXED_NOREPLACE | (v->droppable       ? MAP_DROPPABLE
						  : v->shared ? MAP_SHARED
							      : MAP_PRIVATE);

	if (v->growsdown)
		flags |= MAP_GROWSDOWN;
	if (v->noreserve)
		flags |= MAP_NORESERVE;
	if (v->kind == CKPT__VMA__KIND__ANON)
		flags |= MAP_ANONYMOUS;
	if (v->kind == CKPT__VMA__KIND__ANON && v->page_bytes)
		flags |= MAP_HUGETLB | __builtin_ctzll(v->page_bytes) << HUGE_SHIFT;
	return flags;
}

/* Anonymous memory has a name of its own; shared memory's is shown with a prefix. */
static const char *anon_name(const Ckpt__Vma *v, size_t *ret_len)
{
	const char *name = v->name;

	if (v->kind == CKPT__VMA__KIND__FILE) {
		name = str_startswith(name, "[anon_shmem:");
		*ret_len = name ? strlen(name) - 1 : 0;
	} else {
		*ret_len = strlen(name);
	}
	return name;
}

/* For a mapping, and what was one with it up to @end. */
static void plan_advice(const Ckpt__Vma *v, uint64_t end, struct prog *prog)
{
	size_t len;
	const char *name = anon_name(v, &len);

	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		if (!(v->flags & advices[i].flag))
			continue;
		PROG_CALL(prog, "mm: advice", SYS_madvise, IMM(v->start), IMM(end - v->start),
			IMM(advices[i].advice));
		describe(prog, v);
	}
	if (len) {
		uint64_t at = prog_data(prog, NULL, len + 1);

		if (!prog->err)
			memcpy(prog->data + at, name, len);
		PROG_CALL_ANY(prog, "mm: name", SYS_prctl, IMM(PR_SET_VMA),
			IMM(PR_SET_VMA_ANON_NAME), IMM(v->start), IMM(end - v->start), DATA(at));
		describe(prog, v);
	}
}

/* Code that takes indirect branches only where it says so (aarch64). */
static uint32_t guarded(const Ckpt__Vma *v)
{
	return v->flags & VMF_BT ? PROT_BTI : 0;
}

static void plan_mmap(struct plan *p, const Ckpt__Vma *v, uint64_t end, int prot, struct prog *prog)
{
	int fd = v->kind == CKPT__VMA__KIND__FILE ? plan_fd(p, v->file) : -1;

	PROG_CALL_EQ(prog, "mm: map", v->start, SYS_mmap, IMM(v->start), IMM(end - v->start),
		IMM(prot | guarded(v)), IMM(map_flags(v)), IMM((int64_t)fd), IMM(v->offset));
	prog_object(prog, "%llx-%llx %s", (unsigned long long)v->start, (unsigned long long)end,
		v->name);
}

/* Private memory that is counted against the overcommit limit, although it can't be written now. */
static bool was_writable(const Ckpt__Vma *v)
{
	return v->accounted && !v->shared && !(v->prot & PROT_WRITE);
}

/* Whether b lies behind a, and a change of protection may have made them two. */
static bool once_one(const Ckpt__Vma *a, const Ckpt__Vma *b)
{
	return a->end == b->start && a->accounted && b->accounted && a->kind == b->kind &&
	       a->kind == CKPT__VMA__KIND__ANON && !a->shared && !b->shared &&
	       a->flags == b->flags && a->page_bytes == b->page_bytes && !a->growsdown &&
	       !b->growsdown && a->noreserve == b->noreserve && !a->droppable && !b->droppable &&
	       strcmp(a->name, b->name) == 0;
}

/*
 * Memory that was once writable stays counted if it had a page when it ceased to be: it is mapped
 * writable, given a page for a moment, and protected then. What was one mapping before the program
 * changed protections within it is mapped as one, too: that is a third of the calls.
 * Return: how many mappings were done.
 */
static size_t plan_accounted(struct plan *p, const Ckpt__Mm *mm, size_t first, struct prog *prog)
{
	const Ckpt__Vma *v = mm->vmas[first];
	size_t n = 1;

	while (first + n < mm->n_vmas && once_one(mm->vmas[first + n - 1], mm->vmas[first + n]))
		n++;
	plan_mmap(p, v, mm->vmas[first + n - 1]->end, (int)v->prot | PROT_WRITE, prog);
	plan_advice(v, mm->vmas[first + n - 1]->end, prog);
	if (v->kind == CKPT__VMA__KIND__ANON) {
		PROG_CALL_ANY(prog, "mm: have it counted", SYS_madvise, IMM(v->start), IMM(MM_PAGE),
			IMM(MADV_POPULATE_WRITE));
		PROG_CALL_ANY(prog, "mm: have it counted", SYS_madvise, IMM(v->start), IMM(MM_PAGE),
			IMM(MADV_DONTNEED));
	}
	for (size_t i = 0; i < n; i++) {
		const Ckpt__Vma *part = mm->vmas[first + i];

		if (part->prot == (v->prot | PROT_WRITE))
			continue;
		PROG_CALL(prog, "mm: protect", SYS_mprotect, IMM(part->start),
			IMM(part->end - part->start), IMM(part->prot | guarded(part)));
		describe(prog, part);
	}
	return n;
}

/* Return: how many mappings, from the first on, were done. */
static size_t plan_map(struct plan *p, const Ckpt__Mm *mm, size_t first, struct prog *prog)
{
	const Ckpt__Vma *v = mm->vmas[first],
			*next = first + 1 < mm->n_vmas ? mm->vmas[first + 1] : NULL;

	if (v->kind == CKPT__VMA__KIND__VDSO || v->kind == CKPT__VMA__KIND__OTHER)
		return 1;
	if (mm_segment(p, v)) {
		size_t n = mm_plan_attach(p, mm, first, prog);

		for (size_t i = 0; i < n; i++)
			plan_advice(mm->vmas[first + i], mm->vmas[first + i]->end, prog);
		return n;
	}
	if (was_writable(v) || (next && was_writable(next) && once_one(v, next)))
		return plan_accounted(p, mm, first, prog);
	plan_mmap(p, v, v->end, (int)v->prot, prog);
	plan_advice(v, v->end, prog);
	return 1;
}

void mm_plan_mappings(struct plan *p, const Ckpt__Mm *mm, struct prog *prog)
{
	for (size_t i = 0; i < mm->n_vmas;)
		i += plan_map(p, mm, i, prog);
}

/* ------------------------------------------------------------------ protection keys */

/*
 * pkey_alloc(2) gives the lowest free key, and the kernel takes one by itself for the first mapping
 * that is only executable. So all keys up to the highest are taken, the kernel's is given back just
 * before such a mapping is made, and those that nobody has at the end. Keys that the program has
 * allocated but not used can't be known.
 */
struct keys {
	uint32_t used;   /* bits; key 0 always is */
	unsigned top;    /* the highest, 0: none */
	unsigned kernel; /* of execute-only mappings, 0: none */
};

static bool is_exec_only(const Ckpt__Vma *v)
{
	return v->prot == PROT_EXEC && v->pkey;
}

static struct keys keys_of(const Ckpt__Mm *mm)
{
	struct keys k = {0};

	for (size_t i = 0; i < mm->n_vmas; i++) {
		unsigned key = mm->vmas[i]->pkey;

		k.used |= 1U << key;
		if (key > k.top)
			k.top = key;
		if (is_exec_only(mm->vmas[i]))
			k.kernel = key;
	}
	return k;
}

static void plan_keys_before(const struct keys *k, struct prog *prog)
{
	for (unsigned i = 1; i <= k->top; i++)
		PROG_CALL_EQ(prog, "mm: take a protection key", i, SYS_pkey_alloc, IMM(0), IMM(0));
	if (k->kernel)
		PROG_CALL(prog, "mm: leave a protection key to execute-only memory", SYS_pkey_free,
			IMM(k->kernel));
}

static void plan_keys_after(const Ckpt__Mm *mm, const struct keys *k, struct prog *prog)
{
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (!v->pkey || is_exec_only(v))
			continue;
		PROG_CALL(prog, "mm: protection key", SYS_pkey_mprotect, IMM(v->start),
			IMM(v->end - v->start), IMM(v->prot), IMM(v->pkey));
		describe(prog, v);
	}
	for (unsigned i = 1; i <= k->top; i++)
		if (!(k->used & 1U << i))
			PROG_CALL(prog, "mm: give a protection key back", SYS_pkey_free, IMM(i));
}

/* ------------------------------------------------------------------ beside the mappings */

/* Whose maker was of the same program has its exe link: it can't be set while that is mapped. */
static uint32_t exe_to_set(struct plan *p, const Ckpt__Mm *mm)
{
	const Ckpt__Mm *had =
		p->exe_of ? model_get(p->model, &res_mm.type, (uint64_t)p->exe_of) : NULL;

	return had && had->exe_file == mm->exe_file ? (uint32_t)-1
						    : (uint32_t)plan_fd(p, mm->exe_file);
}

static void plan_bounds(struct plan *p, const Ckpt__Mm *mm, struct prog *prog)
{
	struct prctl_mm_map map = {.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv_size = mm->auxv.len,
		.exe_fd = exe_to_set(p, mm)};
	uint64_t auxv = prog_data(prog, mm->auxv.data, mm->auxv.len);
	uint64_t at = prog_data(prog, &map, sizeof(map));

	prog_pointer(prog, at + offsetof(struct prctl_mm_map, auxv), auxv);
	PROG_CALL(prog, "mm: bounds and exe link", SYS_prctl, IMM(PR_SET_MM), IMM(PR_SET_MM_MAP),
		DATA(at), IMM(sizeof(map)));
}

/* Before the mappings: both are looked at when memory is mapped. */
static void plan_policies(const Ckpt__Mm *mm, struct prog *prog)
{
	PROG_CALL(prog, "mm: transparent huge pages", SYS_prctl, IMM(PR_SET_THP_DISABLE),
		IMM(mm->thp_disabled), IMM(0), IMM(0), IMM(0));
	if (!mm->memory_merge) /* the restorer's own is inherited; kernels before 6.4 have none */
		PROG_CALL_ANY(prog, "mm: same-page merging", SYS_prctl, IMM(PR_SET_MEMORY_MERGE),
			IMM(0), IMM(0), IMM(0), IMM(0));
	else
		PROG_CALL(prog, "mm: same-page merging", SYS_prctl, IMM(PR_SET_MEMORY_MERGE),
			IMM(1), IMM(0), IMM(0), IMM(0));
}

static void plan_early_bare(struct plan *p, const Ckpt__Mm *mm, struct prog *prog)
{
	struct keys keys = keys_of(mm);

	mm_plan_forget(p, prog);
	plan_policies(mm, prog);
	vdso_plan(p->vdso, mm, prog);
	plan_keys_before(&keys, prog);
	mm_plan_mappings(p, mm, prog);
	plan_keys_after(mm, &keys, prog);
	plan_bounds(p, mm, prog);
}

/* Keys and vdso are the parent's. */
static void plan_early_inherited(struct plan *p, const Ckpt__Mm *mm, struct prog *prog)
{
	plan_policies(mm, prog);
	mm_plan_inherited(p, prog);
	plan_bounds(p, mm, prog);
}

static void plan_early(struct plan *p, const Ckpt__Mm *mm, struct prog *prog)
{
	if (p->born && p->born->of)
		plan_early_inherited(p, mm, prog);
	else
		plan_early_bare(p, p->born ? p->born->mm : mm, prog);
}

/* ------------------------------------------------------------------ after the contents */

/* mlock2 of memory that can't be populated fails, but locks it: so it is locked first, then filled. */
static void plan_locks(const Ckpt__Mm *mm, struct prog *prog)
{
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (!v->locked)
			continue;
		PROG_CALL(prog, "mm: lock", SYS_mlock2, IMM(v->start), IMM(v->end - v->start),
			IMM(MLOCK_ONFAULT));
		describe(prog, v);
		if (!v->lock_onfault)
			PROG_CALL_ANY(prog, "mm: lock, and have all of it", SYS_mlock2,
				IMM(v->start), IMM(v->end - v->start), IMM(0));
	}
}

static void plan_guards(const Ckpt__Mm *mm, struct prog *prog)
{
	for (size_t i = 0; i < mm->n_guards; i++) {
		const Ckpt__Range *g = mm->guards[i];

		PROG_CALL(prog, "mm: guard", SYS_madvise, IMM(g->start), IMM(g->end - g->start),
			IMM(MADV_GUARD_INSTALL));
		prog_object(prog, "%llx-%llx", (unsigned long long)g->start,
			(unsigned long long)g->end);
	}
}

/* The file is not the program's own: it may have no /proc, or lack the right to write there. */
static void plan_coredump_filter(const struct plan *p, const Ckpt__Mm *mm, struct prog *prog)
{
	static const char path[] = "/proc/self/coredump_filter";
	char text[16];
	int len = snprintf(text, sizeof(text), "0x%x", mm->coredump_filter);
	size_t fd;

	/* no task has set it before all are made */
	if (p->own_coredump_filter && *p->own_coredump_filter == mm->coredump_filter)
		return;
	fd = PROG_CALL_ANY(prog, "mm: what a core dump holds", SYS_openat, IMM(AT_FDCWD),
		DATA(prog_data(prog, path, sizeof(path))), IMM(O_WRONLY | O_CLOEXEC), IMM(0));
	PROG_CALL_ANY(prog, "mm: what a core dump holds", SYS_write, RES(fd),
		DATA(prog_data(prog, text, len)), IMM(len));
	PROG_CALL_ANY(prog, "mm: what a core dump holds", SYS_close, RES(fd));
}

static void plan_late(const Ckpt__Mm *mm, struct prog *prog)
{
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (!v->sealed || v->kind == CKPT__VMA__KIND__VDSO)
			continue;
		PROG_CALL(
			prog, "mm: seal", SYS_mseal, IMM(v->start), IMM(v->end - v->start), IMM(0));
		describe(prog, v);
	}
	if (mm->lock_future)
		PROG_CALL(prog, "mm: lock memory to come", SYS_mlockall, IMM(mm->lock_future));
}

void mm_plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Mm *mm = (const void *)rec->msg;

	if (phase == PLAN_EARLY) {
		plan_early(p, mm, prog);
	} else if (phase == PLAN_PROCESS) {
		plan_guards(mm, prog);
		plan_locks(mm, prog);
		plan_coredump_filter(p, mm, prog);
	} else if (phase == PLAN_LATE) {
		plan_late(mm, prog);
	}
}
