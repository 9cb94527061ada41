/*
 * lend.h - what a task's memory holds while it makes its children.
 *
 * Private pages are shared by fork(2) and no other way, from a parent to its child, and a child gets what its
 * parent has at that moment. A parent that has changed a page since, as the master of a preforking server
 * does, shares it no more, but the children do among each other. So its memory goes through what it once
 * was: it holds for each child what that shares with others, and what is its own comes last.
 *
 * The order of the children is that of the image, in which the kernel lists them: the oldest first. So a page
 * is held once for all the children that have it, but where a parent has several threads that fork.
 *
 * Pure: data in, data out. Source: fork(2).
 */
#ifndef CKPT_RESTORE_LEND_H
#define CKPT_RESTORE_LEND_H

#include "core/op.h"
#include "model/page_map.h"
#include "res/mm/mm_room.h"
#include "restore/tree.h"

struct lend_fill {
	struct page_map
		drop; /* what is in its memory, and is to go before it is filled; by task and address */
	struct page_map fill; /* likewise; whose contents */
};

/* Of one task of the tree. It is filled once, then makes its first children, is filled with more, ... */
struct lend {
	bool whole; /* all that it has in the image, at once; v is NULL then */
	struct lend_fill *v;
	size_t n;    /* times that it is filled; at least one */
	size_t made; /* it is itself made when its maker has been filled so often, from 0 on */
	struct page_map drop; /* what is to go when it has made its children, as these have it, */
	struct mm_room room;  /* and mappings that are there for them only */
	const Ckpt__Mm *mm; /* what it is mapped with at first; NULL: it has no memory of its own */
};

/**
 * lend_new() - for all tasks of a tree
 * @ret: one per tree->v; released with lend_done()
 * Return: 0; negative after op_fail(): damaged, or no memory.
 */
int lend_new(struct ckpt_op *op, const struct model *m, const struct tree *tree, struct lend **ret);
void lend_done(struct lend *v, size_t n);

#endif
