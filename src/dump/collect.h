/*
 * collect.h - the stage of a dump that fills the model: from /proc, from ptrace, and by asking the
 * processes themselves.
 */
#ifndef CKPT_DUMP_COLLECT_H
#define CKPT_DUMP_COLLECT_H

#include "dump/tree.h"
#include "res/res.h"

/**
 * collect_all() - run every resource's verbs over a held tree
 * @t: op and model are set; the rest is filled here and freed by collect_done()
 * @tree: stays as it is until collect_done()
 * Return: 0; negative after op_fail().
 */
int collect_all(struct collect_tree *t, const struct tree *tree);

/** collect_done() - free what was collected on the way to the model; a second call does nothing */
void collect_done(struct collect_tree *t);

#endif
