/*
 * thread.h - resources of a single thread.
 */
#ifndef CKPT_RES_THREAD_THREAD_H
#define CKPT_RES_THREAD_THREAD_H

#include "res/res.h"

extern const struct res res_regs, res_userptrs, res_sigaltstack, res_threadname, res_personality;
extern const struct res res_pending, res_pendingshared, res_sched, res_seccomp, res_creds,
	res_pdeathsig, res_sud;

#endif
