/*
 * show.h - the parts of `show` among themselves.
 */
#ifndef CKPT_LIB_SHOW_H
#define CKPT_LIB_SHOW_H

#include <stdio.h>

#include "lib/load.h"

/** show_text() - everything, for people */
void show_text(const struct loaded *l, FILE *out);

/** show_memory() - the map of one task, with sizes by kind */
void show_memory(const struct loaded *l, uint64_t pid, FILE *out);

/** show_files() - the descriptors of one task */
void show_files(const struct loaded *l, uint64_t pid, FILE *out);

#endif
