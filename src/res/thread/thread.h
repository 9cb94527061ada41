/*
 * thread.h - resources of a single thread.
 */
#ifndef CKPT_RES_THREAD_THREAD_H
#define CKPT_RES_THREAD_THREAD_H

#include "res/res.h"

extern const struct res res_regs, res_userptrs, res_sigaltstack, res_threadname, res_personality;
extern const struct res res_pending, res_pendingshared, res_sched, res_seccomp, res_creds,
	res_pdeathsig, res_sud, res_notify;

/** creds_own(), sched_own() - the record of the calling thread; caller frees; NULL: not known */
ProtobufCMessage *creds_own(void);
ProtobufCMessage *sched_own(void);

/** thread_as_own() - whether a record says no more than what a new thread has anyway */
bool thread_as_own(const ProtobufCMessage *m, const ProtobufCMessage *own);

#endif
