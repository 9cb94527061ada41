/*
 * mm_inherit.h - a task that is born with its parent's memory, because they share pages copy-on-write.
 *
 * fork(2) is the only way by which two processes come to share private pages. So such a task is made when
 * its parent has its memory, keeps what is the same, and changes the rest.
 */
#ifndef CKPT_RES_MM_MM_INHERIT_H
#define CKPT_RES_MM_MM_INHERIT_H

#include "model/page_map.h"
#include "res/mm/mm.h"

/* How the task that is being planned is born, see struct plan. */
struct mm_born {
	pid_t of;                    /* with whose memory */
	const struct page_map *drop; /* pages of it that the task is not to have; borrowed */
};

/**
 * mm_can_inherit() - whether a task can be born with its parent's memory
 * Both have to be known, and nothing may stand against it: another program, another vdso, protection
 * keys.
 */
bool mm_can_inherit(const struct model *m, pid_t parent, pid_t child);

/**
 * mm_find_kept() - mappings, or parts of them, that a task has as its parent has them; pure
 * @ret: added to, of nobody in particular
 * Return: 0; -ENOMEM
 */
int mm_find_kept(const struct model *m, pid_t parent, pid_t child, struct page_map *ret);

/** mm_plan_drop() - append the giving up of pages */
void mm_plan_drop(const struct page_map *drop, struct prog *prog);

/** mm_plan_inherited() - append the steps from the parent's mappings to those of @mm, but its bounds */
void mm_plan_inherited(struct plan *p, pid_t child, const Ckpt__Mm *mm, struct prog *prog);

#endif
