/*
 * vdso_plan.c - giving a task the vdso that it had.
 *
 * x86: arch_prctl(ARCH_MAP_VDSO_64) maps all parts of the running kernel's at an address. Elsewhere
 * nothing does, and the parts that the task has from our fork are moved. Each part can be moved by
 * itself (mremap), or be unmapped; none can be split. So every layout of a program that has moved or
 * removed its own is made. For another kernel's code see vdso.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "isa/vdso.h"
#include "res/mm/mm.h"
#include "res/mm/vdso.h"
#include "util/str.h"
#include "util/vec.h"

static const struct vdso_part *part_find(const struct vdso_host *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (str_eq(h->parts[i].name, name))
			return &h->parts[i];
	return NULL;
}

static const Ckpt__Vma *image_part(const Ckpt__Mm *mm, const char *name)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->kind == CKPT__VMA__KIND__VDSO &&
			strcmp(mm->vmas[i]->name, name) == 0)
			return mm->vmas[i];
	return NULL;
}

static const Ckpt__Vma *image_next(const Ckpt__Mm *mm, size_t *pos)
{
	while (*pos < mm->n_vmas) {
		const Ckpt__Vma *v = mm->vmas[(*pos)++];

		if (v->kind == CKPT__VMA__KIND__VDSO)
			return v;
	}
	return NULL;
}

/* Whether the image's vdso is the running kernel's, wherever its parts may be. */
static bool is_same(const struct vdso_host *h, const Ckpt__Mm *mm)
{
	const Ckpt__Vma *v;
	size_t pos = 0;

	while ((v = image_next(mm, &pos))) {
		const struct vdso_part *part = part_find(h, v->name);

		if (!part || part->size != v->end - v->start)
			return false;
	}
	return !image_part(mm, "[vdso]") ||
	       (mm->vdso.len == h->code_len && h->code_len &&
		       memcmp(mm->vdso.data, h->code, h->code_len) == 0);
}

/* Where it has to be mapped so that all parts are in their places at once; 0: there is no such place. */
static uint64_t common_base(const struct vdso_host *h, const Ckpt__Mm *mm)
{
	uint64_t base = 0;

	for (size_t i = 0; i < h->n; i++) {
		const Ckpt__Vma *v = image_part(mm, h->parts[i].name);

		if (!v || (i && v->start - h->parts[i].at != base))
			return 0;
		base = v->start - h->parts[i].at;
	}
	return base;
}

/* Above the stack where that is possible, where the kernel puts it too. */
static uint64_t room_below(const Ckpt__Mm *mm, uint64_t size, uint64_t below)
{
	uint64_t end = below;

	for (size_t i = mm->n_vmas + 1; i-- > 0;) {
		uint64_t start = i ? mm->vmas[i - 1]->end + MM_PAGE : MM_PAGE * 16;
		bool stack_above = i < mm->n_vmas && mm->vmas[i]->growsdown;

		if (!stack_above && end > start && end - start >= size)
			return end - size;
		if (i)
			end = MIN(mm->vmas[i - 1]->start - MM_PAGE, below);
	}
	return 0;
}

uint64_t vdso_room(const Ckpt__Mm *mm, uint64_t size)
{
	return room_below(mm, size, MM_TASK_SIZE_END - MM_PAGE);
}

/* Whether what the task has from us lies there: a mapping can't be moved onto itself. */
static bool on_ours(const struct vdso_host *h, uint64_t at)
{
	return ARCH_VDSO_MAP_NR < 0 && at < h->start + h->size && h->start < at + h->size;
}

static uint64_t room_find(const struct vdso_host *h, const Ckpt__Mm *mm)
{
	/* how large an address space is differs between kernels: what has room for us does for it */
	uint64_t at =
		ARCH_VDSO_MAP_NR < 0 ? room_below(mm, h->size, h->top) : vdso_room(mm, h->size);

	return on_ours(h, at) ? room_below(mm, h->size, h->start) : at;
}

uint64_t vdso_plan_keep(const struct vdso_host *h, uint64_t *ret_end, uint64_t *ret_top)
{
	*ret_end = h->start + h->size;
	*ret_top = h->top;
	return ARCH_VDSO_MAP_NR < 0 && h->n ? h->start : 0;
}

static void plan_move(const struct vdso_part *part, uint64_t from, uint64_t to, struct prog *prog)
{
	PROG_CALL_EQ(prog, "mm: move a part of the vdso", to, SYS_mremap, IMM(from + part->at),
		IMM(part->size), IMM(part->size), IMM(MREMAP_MAYMOVE | MREMAP_FIXED), IMM(to));
	prog_object(prog, "%s", part->name);
}

/* The call takes the address as a wish: it is looked whether a part is where it should be. */
static void plan_make(const struct vdso_host *h, uint64_t base, struct prog *prog)
{
	if (ARCH_VDSO_MAP_NR < 0) {
		for (size_t i = 0; i < h->n && base != h->start; i++)
			plan_move(&h->parts[i], h->start, base + h->parts[i].at, prog);
		return;
	}
	PROG_CALL(prog, "mm: vdso", ARCH_VDSO_MAP_NR, IMM(ARCH_VDSO_MAP_CODE), IMM(base));
	prog_object(prog, "at %llx", (unsigned long long)base);
	PROG_CALL_EQ(prog, "mm: vdso, whether it is there", base, SYS_mremap, IMM(base),
		IMM(h->parts[0].size), IMM(h->parts[0].size), IMM(0), IMM(0));
}

static void plan_none(const struct vdso_host *h, struct prog *prog)
{
	if (ARCH_VDSO_MAP_NR < 0 && h->n)
		PROG_CALL(prog, "mm: drop the vdso", SYS_munmap, IMM(h->start), IMM(h->size));
}

/* Map it aside, move each part that the image has, and drop the others. */
static void plan_scattered(const struct vdso_host *h, const Ckpt__Mm *mm, struct prog *prog)
{
	uint64_t aside = room_find(h, mm);

	plan_make(h, aside, prog);
	for (size_t i = 0; i < h->n; i++) {
		const struct vdso_part *part = &h->parts[i];
		const Ckpt__Vma *v = image_part(mm, part->name);

		if (v) {
			plan_move(part, aside, v->start, prog);
			continue;
		}
		PROG_CALL(prog, "mm: drop a part of the vdso", SYS_munmap, IMM(aside + part->at),
			IMM(part->size));
		prog_object(prog, "%s", part->name);
	}
}

/* The task copies the code from its program's data by itself: no other call writes to memory. */
static void plan_old_code(const struct vdso_host *h, const Ckpt__Mm *mm, const Ckpt__Vma *v,
	uint64_t new_code, struct prog *prog)
{
	uint64_t code = prog_data(prog, mm->vdso.data, mm->vdso.len);
	struct iovec to = {(void *)v->start, mm->vdso.len}, from = {NULL, mm->vdso.len};
	uint64_t to_at = prog_data(prog, &to, sizeof(to)),
		 from_at = prog_data(prog, &from, sizeof(from));
	size_t self;

	if (prog->err)
		return;
	if (new_code)
		vdso_patch(prog->data + code, mm->vdso.len, h->code, h->code_len, new_code);
	prog_pointer(prog, from_at + offsetof(struct iovec, iov_base), code);
	self = PROG_CALL(prog, "mm: the old kernel's vdso", SYS_getpid);
	PROG_CALL_EQ(prog, "mm: the old kernel's vdso", mm->vdso.len, SYS_process_vm_writev,
		RES(self), DATA(from_at), IMM(1), DATA(to_at), IMM(1), IMM(0));
}

static void plan_foreign(const struct vdso_host *h, const Ckpt__Mm *mm, struct prog *prog)
{
	const struct vdso_part *code = part_find(h, "[vdso]");
	uint64_t at = h->n && code ? room_find(h, mm) : 0;
	const Ckpt__Vma *v;
	size_t pos = 0;

	if (at)
		plan_make(h, at, prog);
	else
		plan_none(h, prog);
	while ((v = image_next(mm, &pos))) {
		bool is_code = strcmp(v->name, "[vdso]") == 0;
		uint64_t size = v->end - v->start;

		PROG_CALL_EQ(prog, "mm: in place of the old kernel's", v->start, SYS_mmap,
			IMM(v->start), IMM(size), IMM(PROT_READ | (is_code ? PROT_WRITE : 0)),
			IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED), IMM(-1), IMM(0));
		prog_object(prog, "%s", v->name);
		if (!is_code)
			continue;
		plan_old_code(h, mm, v, at ? at + code->at : 0, prog);
		PROG_CALL(prog, "mm: the old kernel's vdso", SYS_mprotect, IMM(v->start), IMM(size),
			IMM(PROT_READ | PROT_EXEC));
	}
}

void vdso_plan(const struct vdso_host *host, const Ckpt__Mm *mm, struct prog *prog)
{
	size_t pos = 0;
	uint64_t base;

	if (!image_next(mm, &pos)) {
		plan_none(host, prog);
		return;
	}
	if (!is_same(host, mm)) {
		plan_foreign(host, mm, prog);
		return;
	}
	base = common_base(host, mm);
	if (base && (base == host->start || !on_ours(host, base)))
		plan_make(host, base, prog);
	else
		plan_scattered(host, mm, prog);
}
