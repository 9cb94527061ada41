/*
 * mm_inherit.h - a task that is born with its parent's memory, because they share pages copy-on-write.
 *
 * fork(2) is the only way by which two processes come to share private pages. So such a task is made when
 * its parent has its memory, keeps what is the same, and changes the rest.
 */
#ifndef CKPT_RES_MM_MM_INHERIT_H
#define CKPT_RES_MM_MM_INHERIT_H

#include "res/mm/mm.h"

struct mm_range {
	uint64_t start, end;
};

/* What is done with what a task was born with; all ascending. */
struct mm_inherit {
	struct mm_range *keep; /* mappings, or parts of them, that it has as well */
	size_t n_keep, cap_keep;
	struct mm_range *same; /* of that, pages with the same contents */
	size_t n_same, cap_same;
	struct mm_range *drop; /* of that, pages that it has not, or has its own in their place */
	size_t n_drop, cap_drop;
};

/**
 * mm_shares_pages() - whether a task is to be born with its parent's memory
 * They have to share pages, and nothing may stand against it: another program, another vdso,
 * protection keys.
 */
bool mm_shares_pages(const struct model *m, pid_t parent, pid_t child);

/**
 * mm_inherit_new() - compare the memory of a task with its parent's; pure
 * @ret: released with mm_inherit_done()
 * Return: 0; -ENOMEM
 */
int mm_inherit_new(const struct model *m, pid_t parent, pid_t child, struct mm_inherit *ret);
void mm_inherit_done(struct mm_inherit *in);

/** mm_plan_inherited() - append the steps from the parent's mappings to those of @mm, but its bounds */
void mm_plan_inherited(struct plan *p, pid_t child, const Ckpt__Mm *mm, struct prog *prog);

#endif
