/*
 * shares.h - which tasks of a tree share what threads share: memory, descriptors, directory, handlers.
 */
#ifndef CKPT_DUMP_SHARES_H
#define CKPT_DUMP_SHARES_H

#include "res/res.h"

/** shares_find() - set shared[] of every task of a held tree. 0 or negative after op_fail() */
int shares_find(struct collect_tree *t);

#endif
