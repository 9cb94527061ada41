/*
 * notify.h - what programs are told by: two signals, and what they carry.
 */
#ifndef CKPT_RES_THREAD_NOTIFY_H
#define CKPT_RES_THREAD_NOTIFY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ckpt_op;
struct ckpt_restore_req;
struct model;

/* Who was told of a checkpoint, and how it is told of a restart. */
struct notify_told {
	pid_t pid;
	pid_t tid; /* of libckpt's thread; 0: the process as a whole */
	int signo; /* THAW */
	uint64_t crid;
};

/**
 * notify_signals() - the two numbers
 * @text: "CKPT,THAW", each a number or "RTMAX-N" or "RTMIN+N"; NULL: SIGRTMAX-2 and SIGRTMAX-1
 * Return: whether it can be read; @ret_* untouched if not
 */
bool notify_signals(const char *text, int *ret_ckpt, int *ret_thaw);

/** notify_signals_wrong() - Return: NULL; or the static reason why it can't be read */
const char *notify_signals_wrong(const char *text);

/**
 * notify_info() - what a signal carries
 * @what: si_errno
 * Return: SI_QUEUE, from us, with the crid as its value
 */
siginfo_t notify_info(int signo, int what, uint64_t crid);

/**
 * notify_all() - have each process that takes THAW told, as if it had been told of the checkpoint
 * Return: 0; negative after op_fail()
 */
int notify_all(
	struct ckpt_op *op, const struct ckpt_restore_req *req, struct model *m, uint64_t crid);

#endif
