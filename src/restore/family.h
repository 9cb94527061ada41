/*
 * family.h - which pages the tasks of a tree have, and with which each is best born.
 *
 * Names: what a task HAS is what it has in the image. What it WANTS is what it is best born with: of each page
 * the first that one of its children wants, in their order, or that it has itself, as far as somebody has
 * that page who is no descendant of it. What it KEEPS is where its mappings are those of its maker.
 *
 * Only tasks that are born with their maker's memory count as its children here.
 */
#ifndef CKPT_RESTORE_FAMILY_H
#define CKPT_RESTORE_FAMILY_H

#include "core/op.h"
#include "model/page_map.h"
#include "res/mm/mm_room.h"
#include "restore/spread.h"
#include "restore/tree.h"

/* One task. */
struct member {
	struct page_map has, wants;
	struct page_map keeps;    /* of nobody in particular */
	struct mm_room room;      /* for mappings that only its children have */
	const Ckpt__Mm *mm;       /* its own, or that with room; NULL: none */
	uint32_t number, last;    /* its own, and that of its last descendant */
	bool is_born_with, bears; /* its maker's memory; such children */
};

struct family {
	struct ckpt_op *op;
	const struct tree *tree;
	struct member *v; /* of tree->v */
	struct spread spread;
};

/**
 * family_new() - of all tasks of a tree
 * @ret: released with family_done(), also on failure; borrows from @m
 * Return: 0; negative after op_fail(): damaged, or no memory.
 */
int family_new(
	struct ckpt_op *op, const struct model *m, const struct tree *tree, struct family *ret);
void family_done(struct family *f);

/** family_oom() - note that memory ran out. Return: negative */
int family_oom(const struct family *f);

/** family_child() - the first child of a task, and the one after another; BIRTH_NONE: there is none */
size_t family_child(const struct family *f, size_t i);
size_t family_child_after(const struct family *f, size_t child);

#endif
