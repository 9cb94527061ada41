/*
 * task.h - resources of a whole process.
 */
#ifndef CKPT_RES_TASK_TASK_H
#define CKPT_RES_TASK_TASK_H

#include <signal.h>

#include "res/res.h"

extern const struct res res_task, res_fs, res_sigaction, res_itimers, res_rlimits, res_prctl,
	res_procfile, res_membarrier, res_timens, res_posixtimers, res_xfeatures, res_ctty,
	res_mqnotify;

/**
 * ctty_plan_lead() - append that a new session leader takes the controlling terminal that it had
 * It has no children in this session yet, and the files as the coordinator has opened them.
 */
void ctty_plan_lead(struct plan *p, pid_t pid, struct prog *prog);

/** task_in_tree() - whether a pid or tid is of a task of the image */
bool task_in_tree(const struct model *m, pid_t pid);

/** task_zombie() - add the record of a task that has ended; c->stat is known. 0 or op_fail() */
int task_zombie(struct collect *c);

/**
 * posixtimers_queue() - whether a pending signal is that of a timer in the model, which will queue it
 * again by itself
 */
bool posixtimers_queue(const struct model *m, pid_t pid, const siginfo_t *si);

#endif
