/*
 * mm.h - resources of an address space, and its parts among themselves.
 */
#ifndef CKPT_RES_MM_MM_H
#define CKPT_RES_MM_MM_H

#include "isa/regs.h"
#include "proto/mm.pb-c.h"
#include "res/res.h"

#define MM_PAGE          4096UL
#define MM_TASK_SIZE_END ARCH_TASK_SIZE_END

/* Of VmFlags: advice that was given, not facts that follow from the rest. */
#define MM_FLAGS_KEPT                                                                              \
	(VMF_DC | VMF_WF | VMF_DD | VMF_MG | VMF_HG | VMF_NH | VMF_SR | VMF_RR | VMF_BT)

extern const struct res res_mm, res_pages, res_contents, res_aio, res_secrets;

/** secrets_is_vma() - whether a mapping is of memory of memfd_secret(2) */
bool secrets_is_vma(const struct vma *v);

/** aio_is_ring() - whether a mapping is the ring of an asynchronous I/O context */
bool aio_is_ring(const struct vma *v);

/**
 * mm_collect_vmas() - mappings and guard pages of c->maps into @mm; contents are wanted
 * Return: 0; negative after op_fail().
 */
int mm_collect_vmas(struct collect *c, Ckpt__Mm *mm);

/** mm_coredump_filter_read() - of the process of a /proc directory. 0; -EBADMSG; -errno, @ret untouched */
int mm_coredump_filter_read(int proc_fd, uint64_t *ret);

/** mm_segment() - the System V shared memory that a mapping is of, or NULL */
const struct Ckpt__SysvShm *mm_segment(const struct plan *p, const Ckpt__Vma *v);

/** mm_segment_wrong() - what is wrong with a mapping of a segment. Return: static; NULL: nothing */
const char *mm_segment_wrong(const struct plan *p, const Ckpt__Vma *v);

/** mm_plan_attach() - attach a segment. Return: how many mappings, from @first on, were done */
size_t mm_plan_attach(struct plan *p, const Ckpt__Mm *mm, size_t first, struct prog *prog);

/** mm_plan_forget() - unmap all that a task has of its maker, but the agent */
void mm_plan_forget(const struct plan *p, struct prog *prog);

/** mm_plan_mappings() - append the making of all mappings but the vdso, where nothing is yet */
void mm_plan_mappings(struct plan *p, const Ckpt__Mm *mm, struct prog *prog);

/** mm_plan() - the steps of one phase; see struct res */
void mm_plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog);

/**
 * mm_check() - whether an image's address space can be planned at all
 * @p: with files and model
 * Return: 0; negative after op_fail(CKPT_E_IMAGE) naming the record and the field.
 */
int mm_check(const struct plan *p, pid_t pid, const Ckpt__Mm *mm);

/**
 * mm_check_room() - whether the system has the huge pages that a task of the image needs
 * @pid: whose
 * Return: 0; negative after op_fail(CKPT_E_SPACE).
 * Source: Documentation/admin-guide/mm/hugetlbpage.rst.
 */
int mm_check_room(const struct plan *p, pid_t pid, const Ckpt__Mm *mm);

#endif
