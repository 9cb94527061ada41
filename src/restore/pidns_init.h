/*
 * pidns_init.h - pid 1 of a namespace that a tree is restored in.
 *
 * Until the tree runs it is the safety line: it ends when the command ends, and with it, by the kernel, ends
 * everything in the namespace. After that it is what is left of us: two pages of memory and one descriptor. It
 * reaps orphans, and ends when the root of the tree and all others have ended; the coordinator, too, which has to
 * say how it went.
 */
#ifndef CKPT_RESTORE_PIDNS_INIT_H
#define CKPT_RESTORE_PIDNS_INIT_H

#include <sys/types.h>

/* In memory that is shared with the command. */
struct pidns_shared {
	pid_t init;        /* as the command sees it; 0: it was not made */
	pid_t coordinator; /* as init sees it */
	const char *call;  /* what failed; static */
	int err;           /* positive */
};

/* Both ways are one byte; they are sent over a socket of their own. */
#define PIDNS_INIT_READY 'r'

struct pidns_init {
	struct pidns_shared *shared;
	int wire;    /* its end */
	int command; /* pidfd of the command */
	pid_t next;  /* the number that the next process is to get */
};

/**
 * pidns_init_main() - be it; in a process that has just been forked as the first of its namespace
 * Says that it is ready, waits to be told the root's number (a pid_t), says so again, and stays.
 */
void pidns_init_main(const struct pidns_init *init) __attribute__((noreturn));

#endif
