/*
 * mm_room.h - an address space with room for what only others have.
 *
 * A parent that has unmapped what its children still share has to have the mapping when it makes them.
 */
#ifndef CKPT_RES_MM_MM_ROOM_H
#define CKPT_RES_MM_MM_ROOM_H

#include "model/page_map.h"
#include "res/mm/mm.h"

struct mm_room {
	Ckpt__Mm mm; /* mappings are borrowed, or of @own */
	Ckpt__Vma **own;
	size_t n_own, cap_own;
	struct page_map added; /* of nobody in particular; ascending */
};

/**
 * mm_room_add() - make room, where nothing is, for what of another address space has certain pages
 * @room: zeroed at first
 * @mm: what it is in place of; outlives it
 * @other: likewise
 * @pages: that it is for
 * Return: 0; -ENOMEM
 */
int mm_room_add(struct mm_room *room, const Ckpt__Mm *mm, const Ckpt__Mm *other,
	const struct page_map *pages);
void mm_room_done(struct mm_room *room);

#endif
