/*
 * mm.h - resources of an address space.
 */
#ifndef CKPT_RES_MM_MM_H
#define CKPT_RES_MM_MM_H

#include "res/res.h"

extern const struct res res_mm, res_pages, res_contents;

#endif
