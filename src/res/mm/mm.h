/*
 * mm.h - resources of an address space, and its parts among themselves.
 */
#ifndef CKPT_RES_MM_MM_H
#define CKPT_RES_MM_MM_H

#include "proto/mm.pb-c.h"
#include "res/res.h"

#define MM_PAGE          4096UL
#define MM_TASK_SIZE_END 0x7ffffffff000ULL /* of four levels of page tables */

extern const struct res res_mm, res_pages, res_contents;

/**
 * mm_collect_vmas() - mappings and guard pages of c->maps into @mm; contents are wanted
 * Return: 0; negative after op_fail().
 */
int mm_collect_vmas(struct collect *c, Ckpt__Mm *mm);

/** mm_plan() - the steps of one phase; see struct res */
void mm_plan(struct plan *p, enum plan_phase phase, const struct model_rec *rec, struct prog *prog);

#endif
