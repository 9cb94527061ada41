/*
 * callbacks.h - what a program that links libckpt wishes to be told of checkpoints, and when it wishes none.
 *
 * A checkpoint, of the program by itself (self.c) or from outside (listen.c), is under way between
 * callbacks_enter() and callbacks_leave() of the same thread; there is one at a time.
 */
#ifndef CKPT_LIB_CALLBACKS_H
#define CKPT_LIB_CALLBACKS_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <time.h>

#include "kernel/boot_id.h"

/* What a restored program compares. */
struct place {
	struct timespec at; /* CLOCK_REALTIME */
	struct utsname host;
	char boot_id[BOOT_ID_LEN];
	pid_t pid;
	uint64_t addresses; /* a sum over those of the interfaces */
};

/**
 * callbacks_enter() - wait until no other checkpoint is under way, and nobody in a section without one
 * @ms: at most so long for each of both; 0: as long as it takes
 * Return: 0; -ETIMEDOUT
 */
int callbacks_enter(unsigned ms);
void callbacks_leave(void);

/** callbacks_before() - Return: 0; -errno: not now, and those that were told before it are told so */
int callbacks_before(void);

/** callbacks_after() - @result: the crid, or -errno */
void callbacks_after(int64_t result);

/** callbacks_restarted() - @then: read before the checkpoint */
void callbacks_restarted(const struct place *then, uint64_t crid);

/** place_read() - where and when we are */
void place_read(struct place *p);

/**
 * listen_begin() - have a thread that hears of checkpoints from outside; a second call does nothing
 * A child that is forked has none until it calls this.
 * Return: 0; -EAGAIN there can be no more threads
 */
int listen_begin(void);

/** listen_self() - this checkpoint is one of ourselves, so the thread need not hear of it; 0: it is over */
void listen_self(uint64_t crid);

#endif
