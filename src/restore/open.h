/*
 * open.h - the stage of a restore that opens every file description, once, before any task exists.
 */
#ifndef CKPT_RESTORE_OPEN_H
#define CKPT_RESTORE_OPEN_H

#include "image/image.h"
#include "res/res.h"

/**
 * plan_files_new() - the open file descriptions of a model, not yet opened
 * @ret: ascending by id; caller frees. 0; -ENOMEM
 */
int plan_files_new(const struct model *m, struct plan_file **ret, size_t *ret_n);

/**
 * open_files() - open all files of p, at numbers that are none of the tasks' own
 * Return: 0; negative after op_fail(); what is open is closed by open_files_done().
 */
int open_files(struct plan *p, const struct image *img);
void open_files_done(struct plan *p);

#endif
