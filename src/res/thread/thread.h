/*
 * thread.h - resources of a single thread.
 */
#ifndef CKPT_RES_THREAD_THREAD_H
#define CKPT_RES_THREAD_THREAD_H

#include "res/res.h"

extern const struct res res_regs, res_userptrs, res_sigaltstack, res_threadname,
	res_personality;

#endif
