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

/* How the task that is being planned is born, see struct plan; borrows all. */
struct mm_born {
	const Ckpt__Mm
		*mm; /* its mappings at first: its own, and room for what its children have */
	const Ckpt__Mm
		*of; /* what its maker has at that time, with whose memory it is born; NULL: bare */
	const struct page_map *drop; /* pages of the maker that it is not to have */
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
int mm_find_kept(const Ckpt__Mm *parent, const Ckpt__Mm *child, struct page_map *ret);

/** mm_plan_drop() - append the giving up of pages */
void mm_plan_drop(const struct page_map *drop, struct prog *prog);

/** mm_plan_unroom() - append the giving up of mappings that were there for children */
void mm_plan_unroom(const struct page_map *added, struct prog *prog);

/** mm_plan_inherited() - append the steps from the mappings of p->born->of to those of p->born->mm */
void mm_plan_inherited(struct plan *p, struct prog *prog);

#endif
