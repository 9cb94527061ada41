/*
 * mm_attach.c - attaching System V shared memory.
 *
 * shmat(2) attaches a whole segment. Of one that the program has partly unmapped, each part is moved
 * (mremap) to its place from where the whole was attached for a moment; it stays an attachment, and
 * shmdt(2) finds it by where the whole would begin.
 */
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "proto/sysvshm.pb-c.h"
#include "res/ipc/ipc.h"
#include "res/mm/mm.h"
#include "res/mm/vdso.h"
#include "util/vec.h"

const Ckpt__SysvShm *mm_segment(const struct plan *p, const Ckpt__Vma *v)
{
	const struct plan_file *f = v->kind == CKPT__VMA__KIND__FILE ? plan_file(p, v->file) : NULL;

	return f && f->rec && f->rec->type == &res_sysvshm.type ? (const void *)f->rec->msg : NULL;
}

static uint64_t segment_len(const Ckpt__SysvShm *m)
{
	return ALIGN_UP(m->size_bytes, m->page_bytes ? m->page_bytes : MM_PAGE);
}

const char *mm_segment_wrong(const struct plan *p, const Ckpt__Vma *v)
{
	const Ckpt__SysvShm *m = mm_segment(p, v);
	uint64_t len;

	if (!m)
		return NULL;
	if (!m->perm || m->page_bytes & (m->page_bytes - 1) || m->size_bytes > INT64_MAX)
		return "its segment can't be";
	len = segment_len(m);
	if (!v->shared || v->end - v->start > len || v->offset > len - (v->end - v->start))
		return "it does not lie within its segment";
	return NULL;
}

/* Parts that lie behind each other just as in the segment, from @first on, are all of it. */
static size_t whole(const struct plan *p, const Ckpt__Mm *mm, size_t first)
{
	const Ckpt__Vma *v = mm->vmas[first];
	uint64_t end = v->start + segment_len(mm_segment(p, v)), at = v->start;
	size_t n = 0;

	if (v->offset)
		return 0;
	while (at < end && first + n < mm->n_vmas) {
		const Ckpt__Vma *part = mm->vmas[first + n];

		if (part->start != at || part->offset != at - v->start || part->file != v->file)
			return 0;
		at = part->end;
		n++;
	}
	return at == end ? n : 0;
}

static int attach_flags(const Ckpt__SysvShm *m, const Ckpt__Vma *v)
{
	return (m->read_only ? SHM_RDONLY : 0) | (v->prot & PROT_EXEC ? SHM_EXEC : 0);
}

static void plan_shmat(const Ckpt__SysvShm *m, uint64_t at, int flags, struct prog *prog)
{
	PROG_CALL_EQ(
		prog, "mm: attach", at, SYS_shmat, IMM((int64_t)m->perm->id), IMM(at), IMM(flags));
	prog_object(prog, "System V shared memory %d", m->perm->id);
	if (m->removed) {
		PROG_CALL(prog, "mm: it goes with its last attachment", SYS_shmctl,
			IMM((int64_t)m->perm->id), IMM(IPC_RMID), IMM(0));
		prog_object(prog, "System V shared memory %d", m->perm->id);
	}
}

/* The protection that an attachment does not come with. */
static void plan_protect(const Ckpt__SysvShm *m, const Ckpt__Vma *v, int flags, struct prog *prog)
{
	uint32_t has =
		PROT_READ | (m->read_only ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);

	if (v->prot == has)
		return;
	PROG_CALL(prog, "mm: protect", SYS_mprotect, IMM(v->start), IMM(v->end - v->start),
		IMM(v->prot));
	prog_object(prog, "%llx-%llx %s", (unsigned long long)v->start, (unsigned long long)v->end,
		v->name);
}

/* Whether two mappings are parts of one attachment. */
static bool same_attachment(const Ckpt__Vma *a, const Ckpt__Vma *b)
{
	return a->kind == b->kind && a->file == b->file &&
	       a->start - a->offset == b->start - b->offset;
}

static void plan_move(
	struct plan *p, const Ckpt__Vma *v, uint64_t from, int flags, struct prog *prog)
{
	PROG_CALL_EQ(prog, "mm: move a part of what was attached", v->start, SYS_mremap,
		IMM(from + v->offset), IMM(v->end - v->start), IMM(v->end - v->start),
		IMM(MREMAP_MAYMOVE | MREMAP_FIXED), IMM(v->start));
	prog_object(prog, "%llx-%llx %s", (unsigned long long)v->start, (unsigned long long)v->end,
		v->name);
	plan_protect(mm_segment(p, v), v, flags, prog);
}

/* All parts of one attachment at once, when the first of them is met. */
static void plan_parts(struct plan *p, const Ckpt__Mm *mm, size_t first, struct prog *prog)
{
	const Ckpt__Vma *v = mm->vmas[first];
	const Ckpt__SysvShm *m = mm_segment(p, v);
	uint64_t len = segment_len(m), unit = m->page_bytes ? m->page_bytes : MM_PAGE;
	/* below the room that the vdso may have taken */
	uint64_t at = ALIGN_UP(vdso_room(mm, len + unit + p->vdso->size), unit);
	int flags = attach_flags(m, v);

	for (size_t i = first; i-- > 0 && v->start - mm->vmas[i]->start < len;)
		if (same_attachment(mm->vmas[i], v))
			return;
	plan_shmat(m, at, flags, prog);
	for (size_t i = first; i < mm->n_vmas && mm->vmas[i]->start - v->start < len; i++)
		if (same_attachment(mm->vmas[i], v))
			plan_move(p, mm->vmas[i], at, flags, prog);
	PROG_CALL(prog, "mm: drop the rest of what was attached", SYS_munmap, IMM(at), IMM(len));
}

size_t mm_plan_attach(struct plan *p, const Ckpt__Mm *mm, size_t first, struct prog *prog)
{
	const Ckpt__Vma *v = mm->vmas[first];
	const Ckpt__SysvShm *m = mm_segment(p, v);
	size_t n = whole(p, mm, first);

	if (!n) {
		plan_parts(p, mm, first, prog);
		return 1;
	}
	plan_shmat(m, v->start, attach_flags(m, v), prog);
	for (size_t i = 0; i < n; i++)
		plan_protect(m, mm->vmas[first + i], attach_flags(m, v), prog);
	return n;
}
