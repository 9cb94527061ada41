/*
 * mm.c - the address space: mappings, and the bounds that the kernel keeps beside them.
 *
 * At a restore the task unmaps everything but the agent, lets the kernel put a vdso where the old one
 * was (arch_prctl(ARCH_MAP_VDSO_64), Linux >= 4.8), and maps everything else with its final
 * protection: contents are written from outside, past protections. Neighbours that differ in nothing
 * are one mapping in the image, as the kernel would merge them.
 *
 * PR_SET_MM_MAP (Linux >= 3.18) sets all bounds at once without CAP_SYS_RESOURCE; the exe link needs
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN and no mapping of the old exe.
 */
#include "res/mm/mm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/prctl.h>

#include "proto/mm.pb-c.h"
#include "proto/pages.pb-c.h"
#include "res/file/files.h"
#include "util/cleanup.h"
#include "util/str.h"
#include "util/vec.h"

#define PAGE 4096UL

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define ARCH_MAP_VDSO_64 0x2003
#define TASK_SIZE_END    0x7ffffffff000ULL
#define VDSO_MAX         65536

/* ------------------------------------------------------------------ collect */

/* Parts that the kernel maps by itself, named in brackets. */
static bool is_vdso_part(const struct vma *v)
{
	return v->path && (strcmp(v->path, "[vdso]") == 0 || str_startswith(v->path, "[vvar"));
}

static bool is_vsyscall(const struct vma *v)
{
	return v->path && strcmp(v->path, "[vsyscall]") == 0;
}

/* Kept flags: advice that was given, not facts that follow from the rest. */
#define FLAGS_KEPT (VMF_DC | VMF_WF | VMF_DD | VMF_MG | VMF_HG | VMF_NH | VMF_SR | VMF_RR)

static int refuse(struct collect *c, const struct vma *v, const char *why)
{
	return op_fail(c->op, CKPT_E_REFUSED, 0, NULL, "see ckpt explain",
		"pid %d (%s): memory %llx-%llx %s: %s", c->pid, c->tr->comm,
		(unsigned long long)v->start, (unsigned long long)v->end, v->path ? v->path : "",
		why);
}

static int check_kind(struct collect *c, const struct vma *v)
{
	if (v->vmflags & (VMF_UM | VMF_UW | VMF_UI))
		return refuse(c, v, "is registered with a userfaultfd, which can't be saved yet");
	if (v->vmflags & (VMF_IO | VMF_PF))
		return refuse(c, v, "is memory of a device, which can't be saved");
	if (v->vmflags & VMF_HT)
		return refuse(c, v, "is hugetlb memory, which can't be saved yet");
	if (v->vmflags & VMF_SS)
		return refuse(c, v, "is a shadow stack, which can't be saved yet");
	if (v->path && str_startswith(v->path, "/SYSV"))
		return refuse(c, v, "is System V shared memory, which can't be saved yet");
	return 0;
}

static bool is_file(const struct vma *v)
{
	return v->ino != 0;
}

static int fill_vma(struct collect *c, const struct vma *v, Ckpt__Vma *m)
{
	const char *name = v->path ? str_startswith(v->path, "[anon:") : NULL;

	m->start = v->start;
	m->end = v->end;
	m->prot = v->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	m->shared = v->prot & VMA_SHARED;
	m->flags = v->vmflags & FLAGS_KEPT;
	m->pkey = v->protection_key;
	m->growsdown = v->vmflags & VMF_GD;
	m->noreserve = v->vmflags & VMF_NR;
	m->locked = v->vmflags & VMF_LO;
	m->lock_onfault = v->vmflags & VMF_LF;
	m->sealed = v->vmflags & VMF_SL;
	m->droppable = v->vmflags & VMF_DP;
	if (is_vdso_part(v)) {
		m->kind = CKPT__VMA__KIND__VDSO;
		m->flags = 0;
		m->name = strdup(v->path);
	} else if (is_file(v)) {
		m->kind = CKPT__VMA__KIND__FILE;
		m->offset = v->pgoff_bytes;
		m->name = strdup(v->path ? v->path : "");
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
		.keep_zero = m->kind == CKPT__VMA__KIND__FILE,
		.resident_bytes = v->rss_bytes + v->swap_bytes};

	if (m->kind == CKPT__VMA__KIND__VDSO || m->shared || m->droppable)
		return 0;
	return collect_want_take(c, &w);
}

static bool mergeable(const Ckpt__Vma *a, const Ckpt__Vma *b)
{
	return a->kind == CKPT__VMA__KIND__ANON && b->kind == CKPT__VMA__KIND__ANON &&
	       a->end == b->start && a->prot == b->prot && a->shared == b->shared &&
	       a->flags == b->flags && a->pkey == b->pkey && a->growsdown == b->growsdown &&
	       a->noreserve == b->noreserve && a->locked == b->locked &&
	       a->lock_onfault == b->lock_onfault && a->sealed == b->sealed &&
	       a->droppable == b->droppable && strcmp(a->name, b->name) == 0;
}

static int collect_vmas(struct collect *c, Ckpt__Mm *mm)
{
	mm->vmas = calloc(c->maps.n ? c->maps.n : 1, sizeof(*mm->vmas));
	if (!mm->vmas)
		return collect_oom(c);
	for (size_t i = 0; i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];
		Ckpt__Vma *m;
		int r;

		if (is_vsyscall(v))
			continue;
		m = msg_new(Ckpt__Vma, CKPT__VMA__INIT);
		if (!m)
			return collect_oom(c);
		mm->vmas[mm->n_vmas++] = m;
		r = is_vdso_part(v) ? 0 : check_kind(c, v);
		if (r == 0)
			r = fill_vma(c, v, m);
		if (r == 0)
			r = want_pages(c, v, m);
		if (r < 0)
			return r;
		if (mm->n_vmas > 1 && mergeable(mm->vmas[mm->n_vmas - 2], m)) {
			mm->vmas[mm->n_vmas - 2]->end = m->end;
			protobuf_c_message_free_unpacked(&m->base, NULL);
			mm->n_vmas--;
		}
	}
	return 0;
}

static int collect_bounds(struct collect *c, Ckpt__Mm *mm, uint64_t brk)
{
	_cleanup_free_ char *auxv = NULL;
	size_t len;
	int r = file_read_at(c->proc_fd, "auxv", &auxv, &len);

	if (r < 0)
		return op_fail(c->op, CKPT_E_TARGET, -r, "read", NULL, "/proc/%d/auxv", c->pid);
	mm->auxv = msg_bytes(auxv, len);
	mm->start_code = c->stat.start_code;
	mm->end_code = c->stat.end_code;
	mm->start_data = c->stat.start_data;
	mm->end_data = c->stat.end_data;
	mm->start_brk = c->stat.start_brk;
	mm->brk = brk;
	mm->start_stack = c->stat.start_stack;
	mm->arg_start = c->stat.arg_start;
	mm->arg_end = c->stat.arg_end;
	mm->env_start = c->stat.env_start;
	mm->env_end = c->stat.env_end;
	return files_of_exe(c, &mm->exe_file);
}

/* Its code without the slack behind it, which is ours to write into. */
static void collect_vdso(struct collect *c, Ckpt__Mm *mm)
{
	uint8_t buf[VDSO_MAX];

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];
		size_t len = v->end - v->start;

		if (v->kind != CKPT__VMA__KIND__VDSO || strcmp(v->name, "[vdso]") != 0)
			continue;
		if (c->tr->slack_start > v->start && c->tr->slack_start < v->end)
			len = c->tr->slack_start - v->start;
		if (len <= sizeof(buf) && tracees_read(c->tr, v->start, buf, len) == 0)
			mm->vdso = msg_bytes(buf, len);
	}
}

static void ask(struct collect *c, struct tracee *t, struct prog *p)
{
	PROG_CALL(p, "mm: end of the heap", SYS_brk, IMM(0));
}

static int collect(struct collect *c, struct tracee *t, const struct answer *a)
{
	Ckpt__Mm *mm = msg_new(Ckpt__Mm, CKPT__MM__INIT);
	int r;

	if (!mm)
		return collect_oom(c);
	r = collect_vmas(c, mm);
	if (r == 0)
		r = collect_bounds(c, mm, answer_ret(a, 0));
	if (r < 0) {
		protobuf_c_message_free_unpacked(&mm->base, NULL);
		return r;
	}
	collect_vdso(c, mm);
	return collect_add_take(c, &res_mm.type, c->pid, mm);
}

/* ------------------------------------------------------------------ plan */

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

static void plan_clear(const Ckpt__Mm *mm, struct prog *prog)
{
	uint64_t vdso = 0;

	PROG_CALL(prog, "mm: forget the restorer's memory", SYS_munmap, IMM(0), PROG_AREA_START);
	PROG_CALL(prog, "mm: forget the restorer's memory", SYS_munmap, PROG_AREA_END,
		PROG_ABOVE_AREA(TASK_SIZE_END));
	for (size_t i = mm->n_vmas; i-- > 0;)
		if (mm->vmas[i]->kind == CKPT__VMA__KIND__VDSO)
			vdso = mm->vmas[i]->start;
	if (vdso) {
		PROG_CALL(prog, "mm: vdso", SYS_arch_prctl, IMM(ARCH_MAP_VDSO_64), IMM(vdso));
		prog_object(prog, "at %llx", (unsigned long long)vdso);
	}
}

static void plan_map(struct plan *p, const Ckpt__Vma *v, struct prog *prog)
{
	int flags = MAP_FIXED_NOREPLACE | (v->shared ? MAP_SHARED : MAP_PRIVATE);
	int fd = -1;

	if (v->droppable)
		flags = MAP_FIXED_NOREPLACE | MAP_DROPPABLE;
	if (v->growsdown)
		flags |= MAP_GROWSDOWN | MAP_STACK;
	if (v->noreserve)
		flags |= MAP_NORESERVE;
	if (v->kind == CKPT__VMA__KIND__ANON)
		flags |= MAP_ANONYMOUS;
	else
		fd = plan_fd(p, v->file);
	PROG_CALL_EQ(prog, "mm: map", v->start, SYS_mmap, IMM(v->start), IMM(v->end - v->start),
		IMM(v->prot), IMM(flags), IMM((int64_t)fd), IMM(v->offset));
	describe(prog, v);
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		if (!(v->flags & advices[i].flag))
			continue;
		PROG_CALL(prog, "mm: advice", SYS_madvise, IMM(v->start), IMM(v->end - v->start),
			IMM(advices[i].advice));
		describe(prog, v);
	}
	if (v->kind == CKPT__VMA__KIND__ANON && v->name[0]) {
		PROG_CALL_ANY(prog, "mm: name", SYS_prctl, IMM(PR_SET_VMA),
			IMM(PR_SET_VMA_ANON_NAME), IMM(v->start), IMM(v->end - v->start),
			DATA(prog_data(prog, v->name, strlen(v->name) + 1)));
		describe(prog, v);
	}
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
		.exe_fd = plan_fd(p, mm->exe_file)};
	uint64_t auxv = prog_data(prog, mm->auxv.data, mm->auxv.len);
	uint64_t at = prog_data(prog, &map, sizeof(map));

	prog_pointer(prog, at + offsetof(struct prctl_mm_map, auxv), auxv);
	PROG_CALL(prog, "mm: bounds and exe link", SYS_prctl, IMM(PR_SET_MM), IMM(PR_SET_MM_MAP),
		DATA(at), IMM(sizeof(map)));
}

static void plan_after_fill(const Ckpt__Mm *mm, struct prog *prog)
{
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Ckpt__Vma *v = mm->vmas[i];

		if (!v->locked)
			continue;
		PROG_CALL(prog, "mm: lock", SYS_mlock2, IMM(v->start), IMM(v->end - v->start),
			IMM(v->lock_onfault ? MLOCK_ONFAULT : 0));
		describe(prog, v);
	}
}

static void plan(
	struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog)
{
	const Ckpt__Mm *mm = (const void *)rec->msg;

	if (phase == PLAN_EARLY) {
		plan_clear(mm, prog);
		for (size_t i = 0; i < mm->n_vmas; i++)
			if (mm->vmas[i]->kind != CKPT__VMA__KIND__VDSO)
				plan_map(p, mm->vmas[i], prog);
		plan_bounds(p, mm, prog);
	} else if (phase == PLAN_PROCESS) {
		plan_after_fill(mm, prog);
	}
}

const struct res res_mm = {
	.type = {"mm", SCOPE_TASK, &ckpt__mm__descriptor, NULL},
	.ask = ask,
	.collect = collect,
	.plan = plan,
};

/* Contents of private memory, and of files that only the image still has. */
const struct res res_pages = {
	.type = {"pages", SCOPE_TASK, &ckpt__pages__descriptor, NULL},
};

const struct res res_contents = {
	.type = {"contents", SCOPE_FILE, &ckpt__pages__descriptor, NULL},
};
