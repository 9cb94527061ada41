/*
 * task.h - resources of a whole process.
 */
#ifndef CKPT_RES_TASK_TASK_H
#define CKPT_RES_TASK_TASK_H

#include "res/res.h"

extern const struct res res_task, res_fs, res_sigaction, res_itimers, res_rlimits,
	res_prctl, res_procfile, res_membarrier;

#endif
